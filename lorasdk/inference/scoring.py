"""Scores given answers: how likely a model finds them, computed through the same passes as training.

It knows one model in one state, the adapter on or off; locks, events and stopping are the predictor's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from peft import PeftModel

from lorasdk.contracts import Example, Message
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.prefix_tree import in_shared_order
from lorasdk.errors import InferenceError, Problem
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.divergence import Foresight
from lorasdk.forward.passes import Passes
from lorasdk.inference.adapter_state import State, without_adapter
from lorasdk.results import AnswerScore

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PASS_TOKENS = 2048
"""Tokens of a forward pass."""
ROWS_AT_ONCE = 1024
"""Rows whose passes are planned together."""


def answer_rows(
    encoder: Encoder, prompts: Sequence[Sequence[Message]], answers: Sequence[str], *, context: int | None
) -> list[TokenRow]:
    """Rows of prompts with their answers, numbered from 1, the answers supervised as in training.

    Raises:
        DataError: the chat template refuses a conversation.
        InferenceError: rows are longer than `context`.
    """
    rows = []
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), start=1):
        example = Example(number, (*prompt, Message("assistant", answer)))
        row = encoder.encode_example(example, train_on="last_turn", origin="answers")
        # What the template writes behind the turn decides nothing.
        rows.append(replace(row, ids=row.ids[: row.spans[-1][1]]))
    too_long = [row for row in rows if context is not None and len(row.ids) > context]
    if too_long:
        raise InferenceError(*(_too_long(row, context) for row in too_long))
    return rows


@dataclass(frozen=True)
class Scoring:
    """The passes of a model whose adapter takes part or does not."""

    passes: Passes
    state: State
    """Of the model in which the passes were tried, and outside of which they would compute another model."""
    why_padded: str
    """Empty when passes are packed."""

    @classmethod
    def of(cls, model: PreTrainedModel | PeftModel, *, adapter: bool) -> Scoring:
        """Try out which passes this model can have.

        Args:
            model: no other call may compute with it meanwhile.
            adapter: whether the adapter takes part, if there is one.
        """
        # Not `state_of`, whose forwards for single layers would keep whole modules from being fused.
        off = isinstance(model, PeftModel) and not adapter
        state: State = (lambda: without_adapter(model)) if off else nullcontext
        with state():
            choice = choose_passes(model, max_tokens=PASS_TOKENS, max_rows=None)
        return cls(choice.passes, state, choice.why_padded)

    def parts(self, rows: Sequence[TokenRow]) -> Iterator[list[TokenRow]]:
        """The rows of each pass; rows that begin alike stay together."""
        order = in_shared_order(rows)
        for start in range(0, len(order), ROWS_AT_ONCE):
            yield from self.passes.split([rows[number] for number in order[start : start + ROWS_AT_ONCE]])

    def scores(self, rows: Sequence[TokenRow]) -> dict[int, AnswerScore]:
        """The scores of one pass, by row number."""
        with self.state(), self.passes.ready():
            found = self.passes.scores(rows)
        return {
            row.row: AnswerScore(-score.nats, score.tokens, greedy=score.correct == score.tokens)
            for row, score in zip(rows, found, strict=True)
        }

    def foresight(self, rows: Sequence[TokenRow]) -> Foresight:
        """What the model foresees in one pass."""
        with self.state(), self.passes.ready():
            return self.passes.foresight(rows)


def _too_long(row: TokenRow, context: int | None) -> Problem:
    return Problem(
        code="inference.prompt-too-long",
        message=f"prompt and answer have {len(row.ids)} tokens, the model's context {context}",
        place=f"prompt {row.row}",
        found=f"{len(row.ids)} tokens",
        allowed=f"at most {context} tokens",
        fix="shorten the prompt or the answer",
    )
