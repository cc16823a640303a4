"""The facade: a recipe goes in, an adapter and answers come out. Heavy rooms are imported when work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lorasdk.announcing import OnEvent
from lorasdk.asking import AdapterChoice, Scheduler
from lorasdk.background.run import Run
from lorasdk.background.starting import Isolation, start_run
from lorasdk.contracts import Row
from lorasdk.eval_report import EvalReport
from lorasdk.exports import ExportOptions, ExportResult, Format, OnDifference
from lorasdk.plugins import build_manager
from lorasdk.plugins.functions import RowsFunction, ScoreFunction, with_functions
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.results import Completion, PreviewRow, TrainResult
from lorasdk.stopping import StopToken
from lorasdk.train_options import Resume, TrainOptions
from lorasdk.tuner import answering
from lorasdk.tuner.adapter_set import AdapterSet
from lorasdk.tuner.exporting import export_model
from lorasdk.tuner.many import train_many
from lorasdk.tuner.opening import Trust, open_adapter, open_recipe
from lorasdk.tuner.state import TunerState
from lorasdk.tuner.training import train

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts
    from lorasdk.tuner.answering import Adapters


class FineTuner:
    """Trains one recipe's adapter and answers with it, inside somebody's program.

    Make one with `from_recipe` or `from_adapter`. Threads may share it; while a training runs, all else is refused with
    an error that says so. It keeps the model in memory until `close`, or the end of a ``with`` block.
    """

    def __init__(self, state: TunerState) -> None:
        """Not for callers: `from_recipe` and `from_adapter` say what is needed."""
        self._state = state

    @classmethod
    def from_recipe(
        cls,
        recipe: RecipeSource,
        *,
        overrides: Overrides = (),
        plugins: Iterable[object] = (),
        discover: bool = True,
        blocked: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        loaders: Mapping[str, RowsFunction] | None = None,
        evaluators: Mapping[str, ScoreFunction] | None = None,
        data: Mapping[str, Iterable[Row]] | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Read a recipe and find everything it names; nothing heavy is imported and no row is read yet.

        Args:
            recipe: a path, YAML or JSON text, a mapping, or a `Recipe`.
            overrides: ``["lora.rank=4"]`` or ``{"lora.rank": 4}``.
            plugins: objects with hook implementations, beside the installed packages.
            discover: whether installed plugin packages are found.
            blocked: what is never imported: names of distributions, entry points or components.
            allowed: when given, the only ones that are imported.
            loaders: functions that give rows, by the names that the recipe calls them; see `data_loader`.
            evaluators: functions that score an answer, in the same way; see `evaluator`.
            data: rows in memory by split (``train``, ``validation``, ``test``); they replace the recipe's sources.
            trust_remote_code: run Python code that comes with the base model; a recipe cannot ask for it.

        Raises `RecipeError`, `PluginError`, `DataError`, `ModelError`: a value, component, file, model that cannot be.
        """
        found = with_functions(plugins, loaders=loaders, evaluators=evaluators)
        manager = build_manager(found, discover=discover, blocked=blocked, allowed=allowed)
        loaded = load_recipe(recipe, overrides=overrides)
        return cls(open_recipe(loaded, manager, rows=data or {}, trust_remote_code=trust_remote_code))

    @classmethod
    def from_adapter(  # noqa: D417 - several arguments share a line, because they are those of `from_recipe`
        cls,
        path: str | os.PathLike[str],
        *,
        overrides: Overrides = (),
        plugins: Iterable[object] = (),
        discover: bool = True,
        blocked: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        loaders: Mapping[str, RowsFunction] | None = None,
        evaluators: Mapping[str, ScoreFunction] | None = None,
        data: Mapping[str, Iterable[Row]] | None = None,
        allow_base_mismatch: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Open a saved adapter, in another process or on another day; the recipe comes from its passport.

        Args:
            path: an adapter folder, a run's folder, or the folder of a recipe's runs (the latest is taken).
            overrides: changes to the passport's recipe, such as ``base_model.source`` on another machine.
            plugins: as in `from_recipe`; so are discover, blocked, allowed, loaders, evaluators, trust_remote_code.
            data: rows for `evaluate` that replace those of the recipe.
            allow_base_mismatch: answer although the base model's weights are not those the adapter was trained on.

        Raises `AdapterError` when there is no adapter, or it is damaged; other errors as `from_recipe`.
        """
        found = with_functions(plugins, loaders=loaders, evaluators=evaluators)
        manager = build_manager(found, discover=discover, blocked=blocked, allowed=allowed)
        trust = Trust(code=trust_remote_code, other_base=allow_base_mismatch)
        return cls(open_adapter(Path(path), manager, overrides=overrides, rows=data or {}, trust=trust))

    train_many = staticmethod(train_many)

    @property
    def recipe(self) -> Recipe:
        """The recipe, overrides applied."""
        return self._state.resolved.recipe

    @property
    def adapter_dir(self) -> Path | None:
        """Folder of the tuner's own adapter, once it has one."""
        return self._state.adapter_dir

    @property
    def adapters(self) -> AdapterSet:
        """Further adapters on the same base model, by name."""
        return self._state.adapters

    def preview(self, rows: int = 3) -> tuple[PreviewRow, ...]:
        """The first rows of each split as the model will see them, once the masks of all are proved."""
        return answering.preview(self._state, rows)

    def train(
        self,
        *,
        on_event: OnEvent | None = None,
        stop: StopToken | None = None,
        resume: Resume | str | os.PathLike[str] = "never",
        allow_changes: Iterable[str] = (),
        evaluate: bool = True,
    ) -> TrainResult:
        """Train an adapter and save it in a run's folder under the recipe's ``output_dir``.

        Args:
            on_event: called with every event, in the calling thread.
            stop: looked at before each pass; when thrown, what was learnt so far is saved and returned.
            resume: ``never`` begins a new run. ``auto`` goes on with the latest run if it did not come to its end,
                ``must`` insists on one, and a path names it. It ends with the bits of a run never interrupted.
            allow_changes: what may differ from the run begun, such as ``versions``; the passport then tells of it.
            evaluate: compare base and tuned on the test rows at the end, as `evaluate` does.

        Raises:
            CheckpointError: nothing to resume, damaged checkpoints, or changes that were not allowed.
            DataError: rows cannot be used or a mask cannot be proved.
            ModelError, ResourceError: the base model cannot be loaded or adapted; memory or disk.
            TrainingError: a loss is not finite, or a training or a scheduler of this tuner is at work already.
        """
        options = TrainOptions.of(resume, allow_changes, evaluate=evaluate)
        return train(self._state, self._state.emitter(on_event), stop or StopToken(), options)

    def start(  # noqa: D417 - as above
        self,
        *,
        isolation: Isolation = "thread",
        on_event: OnEvent | None = None,
        stop: StopToken | None = None,
        resume: Resume | str | os.PathLike[str] = "never",
        allow_changes: Iterable[str] = (),
        evaluate: bool = True,
    ) -> Run:
        """Begin what `train` does and return at once.

        Args:
            isolation: ``thread`` of this program, or ``process`` of its own, whose end, also a violent one, is an error
                here and nothing else, and gives all memory back.
            on_event: called with every event, in a thread of the run.
            stop: a switch of your own, beside `Run.stop`; resume, allow_changes and evaluate as in `train`.

        Raises `TrainingError` when the tuner is at work already, other errors when a process cannot be had.
        """
        options = TrainOptions.of(resume, allow_changes, evaluate=evaluate)
        return start_run(self._state, isolation=isolation, on_event=on_event, stop=stop or StopToken(), options=options)

    def infer(
        self, prompt: Prompts, *, adapter: Adapters = True, on_event: OnEvent | None = None, **generation: object
    ) -> Completion | list[Completion]:
        """Answer one prompt with one adapter, or several together: then a list, in the given order.

        Args:
            prompt: a text (one user turn), a conversation (`Message`s or mappings like them), or a list of either.
            adapter: True the tuner's own, False the untouched base model, a name one of `adapters`; or a list, one
                for each prompt, all answered in the same batches. One prompt may have a list too.
            on_event: hears progress.
            generation: fields of the recipe's ``generation`` section for this call, such as ``max_new_tokens=20``.

        Raises `InferenceError` for an empty or too long prompt, a bad setting, or no adapter yet; `AdapterError` when
        no adapter has this name, or it does not fit the base model or its template.
        """
        emit = self._state.emitter(on_event)
        return answering.answer(self._state, prompt, generation, adapter=adapter, emit=emit)

    def stream(self, prompt: Prompt, *, adapter: AdapterChoice = True, **generation: object) -> Iterator[str]:
        """Answer one prompt piece by piece, as `infer`; closing the iterator early ends the work."""
        return answering.stream(self._state, prompt, generation, adapter=adapter)

    def open_scheduler(self, *, max_rows: int = 32, max_waiting: int = 256) -> Scheduler:
        """Load the base model and answer requests together as they arrive, in a thread, for any mix of adapters.

        At most `max_rows` run and `max_waiting` wait. Raises `InferenceError` for more, and while a training runs.
        """
        return self._state.open_scheduler(self._state.emitter(None), max_rows=max_rows, max_waiting=max_waiting)

    def evaluate(self, *, on_event: OnEvent | None = None, stop: StopToken | None = None) -> EvalReport:
        """Score the untouched base model and the adapter on the test rows; the run's folder gets a page about it.

        Raises `DataError` without the passport's test rows; `InferenceError` without adapter, or when stopped.
        """
        return self._state.compare(self._state.emitter(on_event), stop or StopToken())

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        format: Format = "merged",  # noqa: A002 - the word for it
        dtype: str | None = None,
        overwrite: bool = False,
        on_difference: OnDifference = "refuse",
        on_event: OnEvent | None = None,
    ) -> ExportResult:
        """Hand the adapter on in another form, read back and compared first; `export_model` says more.

        Raises `AdapterError`: a folder in use, a difference; `InferenceError`: no such adapter, format or dtype.
        """
        options = ExportOptions(format, dtype, overwrite, on_difference)
        return export_model(self._state, Path(folder), options, emit=self._state.emitter(on_event))

    def close(self) -> None:
        """End schedulers and let go of memory; the tuner loads model and adapters again when they are needed."""
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
