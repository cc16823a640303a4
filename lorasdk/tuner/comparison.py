"""Base against tuned on one bench: scores, what they are worth, what was forgotten, and the pages that show it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lorasdk.contracts import BringingExamples, Example
from lorasdk.data.examples import Examples
from lorasdk.errors import DataError, InferenceError, LorasdkError
from lorasdk.eval_report import EvalReport
from lorasdk.evaluation.comparing import compare
from lorasdk.evaluation.overlap import overlap
from lorasdk.evaluation.scoring import Subject
from lorasdk.events import ComparisonFinished, Emit, Notice
from lorasdk.heavy_rooms import Bench
from lorasdk.refusals import no_longer_wanted, no_test_rows
from lorasdk.resolving import Resolved
from lorasdk.stopping import StopRequestedError, StopToken

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """One comparison that is wanted."""

    resolved: Resolved
    """The recipe's evaluators and settings."""
    bench: Bench
    """Base model with the adapter."""
    splits: Mapping[str, Examples]
    """``test``, and ``train`` where its rows are known."""
    emit: Emit
    stop: StopToken

    def report(self) -> EvalReport:
        """Score both, on the same rows, over one loaded base model.

        Raises:
            DataError: there are no test rows, and an evaluator needs some.
            InferenceError: the host stopped the work.
            LorasdkError: a model cannot answer.
        """
        try:
            return self._report()
        except StopRequestedError:
            raise InferenceError(no_longer_wanted()) from None

    def _report(self) -> EvalReport:
        began = time.perf_counter()
        section, examples = self.resolved.recipe.evaluation, self._examples()
        training = self.splits["train"].items if "train" in self.splits else ()
        found = compare(
            self.resolved.evaluators,
            base=self._subject("base", examples, adapter=False),
            tuned=self._subject("tuned", examples, adapter=True),
            training=training,
        )
        forgetting = self.bench.forgetting(emit=self.emit, stop=self.stop) if section.forgetting else None
        shared = overlap(examples, training) if examples and training else None
        return replace(found, overlap=shared, forgetting=forgetting, seconds=time.perf_counter() - began)

    def _examples(self) -> tuple[Example, ...]:
        if "test" in self.splits:
            return tuple(self.splits["test"].items[: self.resolved.recipe.evaluation.max_rows])
        if all(isinstance(bound.evaluator, BringingExamples) for bound in self.resolved.evaluators):
            return ()
        raise DataError(no_test_rows())

    def _subject(self, label: str, examples: tuple[Example, ...], *, adapter: bool) -> Subject:
        settings = self.resolved.recipe.generation
        predictor = self.bench.predictor(settings, adapter=adapter, label=label, emit=self.emit, stop=self.stop)
        return Subject(label, predictor, examples, self.emit, self.stop.check)


def publish(report: EvalReport, adapter_dir: Path, emit: Emit) -> None:
    """Write the report's pages beside the adapter, and its results into the model card.

    What goes wrong with pages is told and logged, and nothing more: the report itself is with its caller, at the end of
    what may have been a long training.
    """
    from lorasdk.artifacts.model_card import write_model_card
    from lorasdk.artifacts.passport import read_passport
    from lorasdk.report.finding import report_home
    from lorasdk.report.writing import write_report

    folder = report_home(adapter_dir) or adapter_dir
    try:
        write_report(folder, report, run_dir=folder)
        write_model_card(adapter_dir, read_passport(adapter_dir), report)
    except Exception as error:
        why = error.problems[0].message if isinstance(error, LorasdkError) else f"{type(error).__name__}: {error}"
        logger.exception("the report of %s cannot be written", adapter_dir)
        emit(Notice("evaluation.unwritten", f"the report cannot be written: {why}"))


def announce(report: EvalReport, adapter_dir: Path, emit: Emit) -> None:
    """Tell observers what was found."""
    emit(
        ComparisonFinished(
            adapter_dir,
            report.rows,
            {score.evaluator: score.base for score in report.scores},
            {score.evaluator: score.tuned for score in report.scores},
        )
    )
