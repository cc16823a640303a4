"""How far a tuned model has moved away from its base: what both foresee where the base answers by itself.

Both are one loaded model, its adapter off and on. The base's own answers are the yardstick, since there it is known
what the base would have said; what happens on other texts is the evaluators' question.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from lorasdk.contracts import Message
from lorasdk.data.encoding import TokenRow
from lorasdk.errors import DataError, InferenceError, Problem
from lorasdk.events import PredictionProgress
from lorasdk.forward.divergence import departure
from lorasdk.forward.linear_cross_entropy import CHUNK_LOGITS
from lorasdk.inference.answers import Answer
from lorasdk.inference.predictor import Predictor
from lorasdk.inference.scoring import Scoring
from lorasdk.recipe.schema import GenerationSection

ANSWER_TOKENS = 32
"""Of the base's answer to each prompt, at most: later tokens depend more and more on those before them."""

SETTINGS = GenerationSection(max_new_tokens=ANSWER_TOKENS, batch_size=20)
"""Greedy, and nothing of the recipe's: in half precision even the number of rows in a batch decides some tokens, so
with its settings each recipe would have a yardstick of its own."""


@dataclass(frozen=True, slots=True)
class Departed:
    """Means over the tokens of all answers."""

    tokens: int
    """How many, those that end answers included."""
    divergence: float
    """KL(base ‖ tuned), in nats per token."""
    base_perplexity: float
    """Of the answers under the base, whose own they are."""
    tuned_perplexity: float
    """Of the same answers with the adapter."""


def measure_departure(base: Predictor, tuned: Predictor, texts: Sequence[str]) -> Departed:
    """Let the base answer, then compare over the whole vocabulary what both foresee at each token of the answers.

    Args:
        base: one model with its adapter off; its settings are those of the answers, usually `SETTINGS`.
        tuned: the same model under the same lock, its adapter on.
        texts: what the user says, one turn each, at least one.

    Raises:
        DataError: the chat template does not take one of the texts.
        InferenceError: the model's context is too short for one of them, or `stop` was thrown.
    """
    rows = _answered(base, texts)
    pair = (base.scoring(), tuned.scoring())
    sums = torch.zeros(3, dtype=torch.float64)
    done = 0
    for part in _parts(*pair, rows, vocabulary=_vocabulary(base)):
        tuned.check_stop()
        with base.lock:
            found = departure(*(scoring.foresight(part) for scoring in pair))
        sums += torch.stack([found.divergence, found.base_nats, found.tuned_nats]).cpu()
        done += len(part)
        tuned.emit(PredictionProgress(done, len(rows), tuned.label))
    tokens = sum(row.supervised_tokens for row in rows)
    divergence, base_nats, tuned_nats = (sums / tokens).tolist()
    return Departed(tokens, divergence, _perplexity(base_nats), _perplexity(tuned_nats))


def _answered(base: Predictor, texts: Sequence[str]) -> list[TokenRow]:
    """Prompts with the base's answers, token by token as they were produced: as text they could be cut otherwise."""
    try:
        answers = base.open_answers([(Message("user", text),) for text in texts])
    except (DataError, InferenceError) as error:
        raise type(error)(_not_askable(error.problems[0])) from error
    base.finish(answers)
    return [_row(number, answer) for number, answer in enumerate(answers, start=1)]


def _row(number: int, answer: Answer) -> TokenRow:
    ids = (*answer.request.ids, *answer.ids)
    return TokenRow(number, ids, ((len(answer.request.ids), len(ids)),))


def _parts(base: Scoring, tuned: Scoring, rows: Sequence[TokenRow], *, vocabulary: int) -> Iterator[list[TokenRow]]:
    """The rows of each pass: as many as fit where states are held, few where all of their logits are."""
    if base.passes.plain_head and tuned.passes.plain_head:
        return base.parts(rows)
    longest = max(row.supervised_tokens for row in rows)
    few = max(1, CHUNK_LOGITS // (vocabulary * longest))
    return replace(base, passes=base.passes.limited(few)).parts(rows)


def _vocabulary(predictor: Predictor) -> int:
    size: int = predictor.model.get_input_embeddings().weight.shape[0]
    return size


def _perplexity(nats: float) -> float:
    """Infinite where a float cannot hold it."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def _not_askable(why: Problem) -> Problem:
    return Problem(
        code="evaluation.not-askable",
        message=f"forgetting cannot be measured, since the model cannot be asked the general prompts: {why.message}",
        place=why.place,
        field="evaluation.forgetting",
        found=why.found,
        allowed=why.allowed,
        fix="name another template in base_model.chat_template, or set evaluation.forgetting: false",
    )
