"""What a tuner does with rows and prompts, between its face and its state. Light until work begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorasdk.events import Emit
from lorasdk.results import Completion, PreviewRow
from lorasdk.tuner_state import TunerState

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts


def preview(state: TunerState, rows: int) -> tuple[PreviewRow, ...]:
    """The first rows of each split, once the masks of all are proved."""
    emit = state.emitter(None)
    bench = state.bench(emit)
    return bench.preview(state.rows.read(emit), rows, emit)


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
