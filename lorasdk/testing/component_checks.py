"""Does a component do what its Protocol says, with options that work and with options that cannot?"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ValidationError

from lorasdk.contracts import (
    Aggregating,
    BringingExamples,
    DataLoader,
    EvaluationContext,
    Evaluator,
    Example,
    LoadContext,
    LocatedModel,
    Message,
    ModelSource,
    Row,
    SourceRequest,
)
from lorasdk.errors import Problem
from lorasdk.testing.fake_predictor import FakePredictor
from lorasdk.testing.findings import Findings
from lorasdk.testing.option_checks import check_options, made_options

ROWS = 100
"""Rows that are looked at."""
NONSENSE = "no such thing: lorasdk's check of plugins"
REFERENCES = ("yes", "no", "blue")
EXAMPLES = tuple(
    Example(i, (Message("user", f"What is the answer to question {i}?"), Message("assistant", text)))
    for i, text in enumerate(REFERENCES, start=1)
)


def check_loader(loader: DataLoader, given: Mapping[str, object] | None, folder: Path, findings: Findings) -> None:
    """Rows are rows, the same in the same order each time, and whatever goes wrong is said in our errors."""
    check_options(loader.Options, findings)
    options = made_options(loader.Options, given, findings)
    if options is None:
        return
    _check_problems(loader, options, folder, findings)
    first, second = (_rows(loader, options, folder, findings) for _ in range(2))
    if first is None or second is None:
        return
    if not first:
        findings.add("it gives no rows", fix="give options with which it has some")
    for number, row in enumerate(first, start=1):
        if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row):
            findings.add(f"row {number} is no mapping of column names", found=repr(row)[:80], fix="yield dictionaries")
            return
    if first != second:
        findings.add("it gives other rows the second time", fix="yield rows in a stable order")
    for changed in _nonsense(loader.Options, given):
        _rows(loader, changed, folder, findings, allowed=True)


def check_evaluator(evaluator: Evaluator, given: Mapping[str, object] | None, folder: Path, findings: Findings) -> None:
    """One finite score per example, the same each time."""
    check_options(evaluator.Options, findings)
    options = made_options(evaluator.Options, given, findings)
    if options is None:
        return
    first, second = (_scores(evaluator, options, folder, findings) for _ in range(2))
    if first is not None and first != second:
        findings.add("it scores the same answers otherwise the second time", fix="seed what it draws, or cache it")
    if first and isinstance(evaluator, Aggregating):
        total = findings.attempt("aggregate", lambda: [evaluator.aggregate(first)])
        if total is not None and not _is_number(total[0]):
            findings.add("its aggregate is no finite number", found=repr(total[0]), fix="give a float")
    for changed in _nonsense(evaluator.Options, given):
        _scores(evaluator, changed, folder, findings, allowed=True)


def check_source(source: ModelSource, given: Mapping[str, object] | None, folder: Path, findings: Findings) -> None:
    """What is not there is said in our errors; with a ``reference`` among the options, what is there is found."""
    missing = SourceRequest(NONSENSE, None, folder, "")
    found = findings.attempt("check", lambda: list(source.check(missing)), allowed=True)
    _check_are_problems(found, findings)
    located = findings.attempt("locate", lambda: source.locate(missing), allowed=True)
    if located is not None:
        findings.add(
            "it locates a base model that cannot exist",
            found=repr(located),
            fix="raise ModelError for what is not there",
        )
    reference = (given or {}).get("reference")
    if reference is not None:
        request = SourceRequest(str(reference), None, folder, "")
        located = findings.attempt("locate", lambda: source.locate(request))
        if located is not None and not (isinstance(located, LocatedModel) and located.path.exists()):
            findings.add("what it locates is not there", found=repr(located), fix="give a path of this machine")


def _check_problems(loader: DataLoader, options: BaseModel, folder: Path, findings: Findings) -> None:
    found = findings.attempt("check", lambda: list(loader.check(options, _loading(folder))))
    _check_are_problems(found, findings)
    for problem in found or []:
        findings.add(f"its check does not like the options: {problem}", fix="give options that work in a test")


def _check_are_problems(found: Iterable[object] | None, findings: Findings) -> None:
    foreign = [each for each in found or [] if not isinstance(each, Problem)]
    if foreign:
        findings.add("check must give problems", found=repr(foreign[0])[:80], fix="give a list of lorasdk.Problem")


def _rows(
    loader: DataLoader, options: BaseModel, folder: Path, findings: Findings, *, allowed: bool = False
) -> list[Row] | None:
    def read() -> list[Row]:
        rows = iter(loader.load(options, _loading(folder)))
        try:
            return list(islice(rows, ROWS))
        finally:
            if isinstance(rows, Generator):
                rows.close()  # left in the middle, as by a recipe's `max_rows`, and by a stop

    return findings.attempt("load", read, allowed=allowed)


def _scores(
    evaluator: Evaluator, options: BaseModel, folder: Path, findings: Findings, *, allowed: bool = False
) -> list[float] | None:
    context = EvaluationContext(folder, "", "tuned", lambda _code, _message: None, lambda: None)
    # Some right, some wrong: an evaluator that can tell them apart is shown both.
    predictor = FakePredictor({EXAMPLES[0].prompt[-1].content: REFERENCES[0]})

    def judge() -> list[float]:
        own = evaluator.examples(options, context) if isinstance(evaluator, BringingExamples) else EXAMPLES
        scores = list(evaluator.score(options, own, predictor, context))
        if len(scores) != len(own) or not all(map(_is_number, scores)):
            findings.add(
                f"it gave {len(scores)} scores for {len(own)} examples",
                found=repr(scores)[:80],
                allowed="one finite number per example, in order",
                fix="repair its score method",
            )
        return scores

    return findings.attempt("score", judge, allowed=allowed)


def _nonsense(model: type[BaseModel], given: Mapping[str, object] | None) -> Iterator[BaseModel]:
    """The options with one text after the other replaced by something that cannot be right."""
    for key, value in (given or {}).items():
        if isinstance(value, str):
            with suppress(ValidationError):  # refused already, as it should be
                yield model.model_validate({**(given or {}), key: NONSENSE})


def _loading(folder: Path) -> LoadContext:
    return LoadContext(folder, "", "train", lambda _problem: None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
