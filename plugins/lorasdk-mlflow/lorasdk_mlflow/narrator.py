"""What a run's events mean in MLflow: events in, commands out, nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from lorasdk import (
    AdapterAttached,
    AdapterSaved,
    BaseModelLoaded,
    ComparisonFinished,
    DataPrepared,
    EvaluationFinished,
    Event,
    LossSpike,
    MicroBatchHalved,
    Notice,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
)
from lorasdk_mlflow.commands import AnyCommand, Close, Describe, Measure, Open, Reading, Status, Upload
from lorasdk_mlflow.options import TrackingOptions
from lorasdk_mlflow.parameters import LONGEST_TAG, RECIPE, name_of, parameters, recipe_parameters, shortened
from lorasdk_mlflow.redacting import redacted

ADAPTER = "adapter"
"""Folder of the adapter among a run's artifacts."""
REPORT = "report"
"""Folder of the comparison's report among them."""
REPORT_FILES = ("report.html", "report.md", "report.json")
PASSPORT = "lorasdk.json"
INTERRUPTS = (KeyboardInterrupt.__name__, SystemExit.__name__)
"""Codes of failures that are none of the training's: somebody ended the program."""


class Narrator:
    """Retells one run's events; the first is a `RunStarted` or, for a comparison alone, a `ComparisonFinished`."""

    def __init__(self, options: TrackingOptions, now: Callable[[], float] = time.time) -> None:
        self._options, self._now = options, now
        self._steps = 0
        self._stopped_by_request = False

    def tell(self, event: Event) -> list[AnyCommand]:
        """The commands that `event` stands for, in order; none for what MLflow has no place for."""
        match event:
            case RunStarted():
                return self._started(event)
            case StepFinished():
                self._steps = event.step
                return [self._measured(event.step, _of_step(event))]
            case EvaluationFinished():
                return [self._measured(event.step, _of_validation(event))]
            case LossSpike():
                values = {"loss_spike": event.loss, "loss_spike_skipped": float(event.skipped)}
                return [self._measured(event.step, values)]
            case MicroBatchHalved():
                tag = Describe(tags=_tags(micro_batch=redacted(event.reason)))
                return [self._measured(event.step, {"micro_batch_rows": event.rows}), tag]
            case AdapterSaved():
                adapter = [Upload(path=str(event.path), under=ADAPTER)] if self._options.log_adapter else []
                return [Describe(tags=_tags(adapter_step=str(event.step))), *adapter]
            case ComparisonFinished():
                return self._compared(event)
            case RunStopped() | RunFinished() | RunFailed():
                return self._ended(event)
            case _:
                return _described(event)

    def alone(self, event: ComparisonFinished) -> list[AnyCommand]:
        """The commands for a comparison outside of a training: found again by the run's folder, or a run of its own."""
        run_dir, recipe = event.adapter_dir.parent, _recipe_of(event.adapter_dir)
        name = str(recipe.get("name", event.adapter_dir.name))
        opening = self._opening(run_dir, name, {}).model_copy(update={"find": True, "running": False})
        return [opening, Describe(params=parameters(recipe)), *self._compared(event), self._closed(None)]

    def _started(self, event: RunStarted) -> list[AnyCommand]:
        tags = _tags(
            recipe_fingerprint=event.recipe_fingerprint,
            version=version("lorasdk"),
            resumed_from=str(event.resumed_from) if event.resumed_from else "",
        )
        self._steps = event.resumed_from
        resumed = {"find": event.resumed_from > 0, "resumed_from": event.resumed_from}
        opening = self._opening(event.run_dir, event.recipe_name, tags).model_copy(update=resumed)
        recipe = Upload(path=str(event.run_dir.absolute() / RECIPE))
        return [opening, Describe(params=recipe_parameters(event.run_dir)), recipe]

    def _opening(self, run_dir: Path, recipe_name: str, tags: Mapping[str, str]) -> Open:
        options = self._options
        return Open(
            tracking_uri=options.tracking_uri.get_secret_value(),
            experiment=options.experiment or recipe_name,
            run_name=options.run_name or f"{recipe_name} {run_dir.name}",
            run_dir=str(run_dir.absolute()),
            tags={**{name_of(name): text for name, text in options.tags.items()}, **tags},
        )

    def _compared(self, event: ComparisonFinished) -> list[AnyCommand]:
        scores = {f"base.{name}": value for name, value in event.base.items()}
        scores |= {f"tuned.{name}": value for name, value in event.tuned.items()}
        run_dir = event.adapter_dir.absolute().parent
        reports = [Upload(path=str(run_dir / name), under=REPORT) for name in REPORT_FILES]
        return [self._measured(self._steps, {**scores, "compared_rows": event.rows}), *reports]

    def _ended(self, event: RunStopped | RunFinished | RunFailed) -> list[AnyCommand]:
        match event:
            case RunStopped():
                self._stopped_by_request = event.reason == "requested"
                return [Describe(tags=_tags(stopped=event.reason, stopped_at=str(event.step)))]
            case RunFinished():
                # KILLED is MLflow's word for a run that somebody ended; lorasdk does not call it finished either.
                end = self._closed("KILLED" if self._stopped_by_request else "FINISHED")
                return [self._measured(event.steps, {"seconds": event.seconds}), end]
            case RunFailed():
                end = self._closed("KILLED" if event.code in INTERRUPTS else "FAILED")
                return [Describe(tags=_failure(event)), end]

    def _measured(self, step: int, values: Mapping[str, float]) -> Measure:
        time_ms = self._time_ms()
        named = ((name_of(name), float(value)) for name, value in values.items())
        return Measure(
            readings=tuple(Reading(name=name, value=value, step=step, time_ms=time_ms) for name, value in named)
        )

    def _closed(self, status: Status | None) -> Close:
        return Close(status=status, time_ms=self._time_ms())

    def _time_ms(self) -> int:
        return int(self._now() * 1000)


def _of_step(event: StepFinished) -> dict[str, float]:
    return {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "gradient_norm": event.gradient_norm,
        "epoch": event.epoch,
        "tokens": event.tokens,
        "tokens_per_second": event.tokens_per_second,
        "peak_memory_bytes": event.peak_memory_bytes,
    }


def _of_validation(event: EvaluationFinished) -> dict[str, float]:
    best = {"validation.best_step": event.step} if event.best else {}
    return {**{f"validation.{name}": value for name, value in event.metrics.items()}, **best}


def _described(event: Event) -> list[AnyCommand]:
    """What an event says once about a run."""
    match event:
        case DataPrepared():
            facts = {"rows": event.rows, "skipped": event.skipped, "tokens": event.tokens, "longest": event.longest}
            prepared = {**facts, "supervised_tokens": event.supervised_tokens}
            return [Describe(params=parameters({"prepared": {event.split: prepared}}))]
        case BaseModelLoaded():
            loaded = {"device": event.device, "dtype": event.dtype, "parameters": event.parameters}
            return [Describe(params=parameters({"loaded": loaded}), tags=_tags(load_seconds=f"{event.seconds:.3f}"))]
        case AdapterAttached():
            attached = {
                "trainable_parameters": event.trainable_parameters,
                "total_parameters": event.total_parameters,
                "modules": len(event.modules),
            }
            return [Describe(params=parameters({"attached": attached}))]
        case Notice():
            return [Describe(tags=_tags(**{f"notice.{event.code}": redacted(event.message)}))]
        case _:
            return []


def _tags(**texts: str) -> dict[str, str]:
    return {name_of(f"lorasdk.{name}"): shortened(text, LONGEST_TAG) for name, text in texts.items() if text}


def _failure(event: RunFailed) -> dict[str, str]:
    # Only lorasdk's own errors (their codes have a dot) are known to hold no secret; others are told by their type.
    return _tags(error_code=event.code, error=redacted(event.message) if "." in event.code else "")


def _recipe_of(adapter_dir: Path) -> Mapping[str, object]:
    """The recipe in an adapter's passport; empty when there is none."""
    try:
        passport = json.loads((adapter_dir / PASSPORT).read_bytes())
    except (OSError, ValueError):
        return {}
    recipe = passport.get("recipe") if isinstance(passport, dict) else None
    return recipe if isinstance(recipe, dict) else {}
