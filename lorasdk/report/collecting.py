"""Gathers what a run's folder tells: the adapter's passport, the recipe as it was written, the events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorasdk.artifacts.passport import Passport, SplitPart, read_passport
from lorasdk.events import BaseModelLoaded, DataPrepared, EvaluationFinished, Event, Notice, StepFinished
from lorasdk.report.facts import (
    BaseFacts,
    NoticeFacts,
    RunFacts,
    SplitFacts,
    StepFacts,
    TrainingFacts,
    ValidationFacts,
)
from lorasdk.runs.event_log import EVENTS, read_events
from lorasdk.runs.folder import ADAPTER, PASSPORT

RECIPE = "recipe.yaml"


def collect_facts(folder: Path) -> RunFacts:
    """Read a run's folder, or an adapter's that was copied out of one; what is not there is left out and named.

    Raises:
        AdapterError: the passport is there and damaged.
        OSError: a file is there and cannot be read.
    """
    adapter = next((each for each in (folder, folder / ADAPTER) if (each / PASSPORT).is_file()), None)
    passport = None if adapter is None else read_passport(adapter)
    recipe = folder / RECIPE
    course = _course(folder / EVENTS) if (folder / EVENTS).is_file() else None
    absent = [name for name, is_there in ((PASSPORT, passport), (EVENTS, course)) if not is_there]
    written = recipe.read_text("utf-8", errors="replace") if recipe.is_file() else ""
    return _facts(folder.absolute().name, passport, written, course or _Course(), tuple(absent))


@dataclass
class _Course:
    """The events of a run; a step that was taken again after a resume counts once."""

    prepared: dict[str, DataPrepared] = field(default_factory=dict)
    steps: dict[int, StepFacts] = field(default_factory=dict)
    validations: dict[int, ValidationFacts] = field(default_factory=dict)
    notices: dict[NoticeFacts, None] = field(default_factory=dict)
    device: str | None = None

    def hear(self, event: Event) -> None:
        """Keep what a report shows."""
        match event:
            case DataPrepared():
                self.prepared[event.split] = event
            case BaseModelLoaded():
                self.device = event.device
            case StepFinished():
                point = StepFacts(event.step, event.loss, event.learning_rate, event.tokens_per_second)
                self.steps[event.step] = point
            case EvaluationFinished():
                self.validations[event.step] = ValidationFacts(event.step, dict(event.metrics))
            case Notice():
                self.notices[NoticeFacts(event.code, event.message)] = None


def _course(path: Path) -> _Course:
    course = _Course()
    for event in read_events(path):
        course.hear(event)
    return course


def _facts(run: str, passport: Passport | None, recipe: str, course: _Course, absent: tuple[str, ...]) -> RunFacts:
    told = RunFacts(
        run=run,
        recipe=recipe,
        splits=tuple(_splits(passport, course)),
        steps=tuple(course.steps[step] for step in sorted(course.steps)),
        validations=tuple(course.validations[step] for step in sorted(course.validations)),
        notices=tuple(course.notices),
        absent=absent,
    )
    return told if passport is None else _with_passport(told, passport, course.device)


def _with_passport(told: RunFacts, passport: Passport, device: str | None) -> RunFacts:
    from lorasdk.recipe.writing import write_yaml

    base, training = passport.base_model, passport.training
    return replace(
        told,
        recipe_name=str(passport.recipe.get("name", "")),
        created=passport.created,
        recipe=told.recipe or write_yaml(passport.recipe),
        settings=dict(_flat(passport.recipe)),
        base=BaseFacts(base.source, base.identity, base.quantization, base.dtype, device),
        training=TrainingFacts(**training.model_dump(include=set(TrainingFacts.__dataclass_fields__))),
        fingerprints={
            "recipe": passport.recipe_fingerprint,
            "base model": base.fingerprint,
            "chat template": passport.template.sha256,
            "adapter": passport.adapter_sha256,
        },
        versions=dict(passport.versions),
    )


def _splits(passport: Passport | None, course: _Course) -> Iterator[SplitFacts]:
    named = {} if passport is None else passport.data
    for name in dict.fromkeys([*course.prepared, *named]):
        yield _split(name, named.get(name), course.prepared.get(name))


def _split(name: str, part: SplitPart | None, event: DataPrepared | None) -> SplitFacts:
    counts = event or part
    assert counts is not None
    return SplitFacts(
        split=name,
        rows=counts.rows,
        skipped=counts.skipped,
        tokens=counts.tokens,
        supervised_tokens=counts.supervised_tokens,
        longest=None if event is None else event.longest,
        sha256=None if part is None else part.sha256,
    )


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False, sort_keys=True)
