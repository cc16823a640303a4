"""What a tuner does with rows and prompts, between its face and its state. Light until work begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorasdk.contracts import BringingExamples
from lorasdk.errors import InferenceError
from lorasdk.eval_report import EvalReport
from lorasdk.events import ComparisonFinished, Emit
from lorasdk.refusals import no_longer_wanted
from lorasdk.results import Completion, PreviewRow
from lorasdk.stopping import StopRequestedError, StopToken
from lorasdk.tuner_state import TunerState

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts


def preview(state: TunerState, rows: int) -> tuple[PreviewRow, ...]:
    """The first rows of each split, once the masks of all are proved."""
    emit = state.emitter(None)
    bench = state.bench(emit)
    return bench.preview(state.read(emit), rows, emit)


def answer(
    state: TunerState, prompt: Prompts, generation: Mapping[str, object], *, adapter: bool, emit: Emit
) -> Completion | list[Completion]:
    """One answer for one prompt, a list for a list."""
    from lorasdk.inference.prompts import conversations

    turns, single = conversations(prompt)
    answers = state.predictor(generation, adapter=adapter, emit=emit).complete(turns)
    return answers[0] if single else answers


def stream(state: TunerState, prompt: Prompt, generation: Mapping[str, object], *, adapter: bool) -> Iterator[str]:
    """One answer, piece by piece."""
    from lorasdk.inference.prompts import conversation

    turns = conversation(prompt)
    return state.predictor(generation, adapter=adapter, emit=state.emitter(None)).stream(turns)


def compare_with_base(state: TunerState, emit: Emit, stop: StopToken | None) -> EvalReport:
    """Base and adapter on the test rows."""
    from lorasdk.evaluation.comparing import compare
    from lorasdk.evaluation.scoring import Subject

    evaluators, adapter_dir = state.resolved.evaluators, state.adapter_dir
    token = stop or StopToken()
    tuned = state.predictor({}, adapter=True, emit=emit, stop=token, label="tuned")
    base = state.predictor({}, adapter=False, emit=emit, stop=token, label="base")
    bring = all(isinstance(bound.evaluator, BringingExamples) for bound in evaluators)
    examples = () if bring else state.test_examples(emit)
    try:
        report = compare(
            evaluators,
            base=Subject("base", base, examples, emit, token.check),
            tuned=Subject("tuned", tuned, examples, emit, token.check),
        )
    except StopRequestedError:
        raise InferenceError(no_longer_wanted()) from None
    assert adapter_dir is not None
    emit(
        ComparisonFinished(
            adapter_dir,
            report.rows,
            {score.evaluator: score.base for score in report.scores},
            {score.evaluator: score.tuned for score in report.scores},
        )
    )
    return report
