"""What a tuner does with rows and prompts, between its face and its state. Light until work begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from lorasdk.asking import AdapterChoice
from lorasdk.errors import InferenceError
from lorasdk.events import Emit
from lorasdk.refusals import other_number
from lorasdk.results import Completion, PreviewRow
from lorasdk.tuner.state import TunerState

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts

Adapters: TypeAlias = AdapterChoice | Sequence[AdapterChoice]
"""Who answers all prompts, or each of them."""


def preview(state: TunerState, rows: int) -> tuple[PreviewRow, ...]:
    """The first rows of each split, once the masks of all are proved."""
    emit = state.emitter(None)
    bench = state.bench(emit)
    return bench.preview(state.rows.read(emit), rows, emit)


def answer(
    state: TunerState, prompt: Prompts, generation: Mapping[str, object], *, adapter: Adapters, emit: Emit
) -> Completion | list[Completion]:
    """One answer for one prompt of one adapter, otherwise a list."""
    from lorasdk.inference.prompts import conversations

    turns, single = conversations(prompt)
    one = isinstance(adapter, str | bool)
    choices = [adapter] * len(turns) if isinstance(adapter, str | bool) else list(adapter)
    if single and not one:
        turns = turns * len(choices)
    if len(choices) != len(turns) or not choices:
        raise InferenceError(other_number(len(turns), len(choices)))
    voices = [state.voice(choice) for choice in choices]
    predictor = state.predictor(generation, adapter=any(voice is True for voice in voices), emit=emit)
    answers = predictor.complete_each(turns, voices)
    return answers[0] if single and one else answers


def stream(
    state: TunerState, prompt: Prompt, generation: Mapping[str, object], *, adapter: AdapterChoice
) -> Iterator[str]:
    """One answer, piece by piece."""
    from lorasdk.inference.prompts import conversation

    turns, voice = conversation(prompt), state.voice(adapter)
    return state.predictor(generation, adapter=voice is True, emit=state.emitter(None)).stream(turns, voice)
