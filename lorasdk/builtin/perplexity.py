"""The evaluator `perplexity`: how much the reference answer surprises the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import geometric_mean
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor

MAX_EXPONENT = 700.0
"""exp() of more overflows a double."""


class PerplexityOptions(BaseModel):
    """Options of `perplexity`: there are none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Perplexity:
    """exp(−Σ ln p(token) / tokens) of each reference answer, the token that ends the turn included; 1 is the best.

    The aggregate is the geometric mean, e to the mean of the rows' nats per token: every row counts the same, however
    long its answer. The validation metric of the same name counts every token the same.
    """

    name = "perplexity"
    summary = "how much the reference surprises the model"
    higher_is_better = False
    Options = PerplexityOptions

    def score(
        self,
        options: PerplexityOptions,  # noqa: ARG002 - every evaluator is given its options
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - and a context
    ) -> list[float]:
        """Score every reference after its example's prompt; one score per example, at least 1."""
        prompts, references = [example.prompt for example in examples], [example.reference for example in examples]
        scores = predictor.log_probabilities(prompts, references)
        return [math.exp(min(-score.per_token, MAX_EXPONENT)) for score in scores]

    def aggregate(self, scores: Sequence[float]) -> float:
        """The geometric mean: in the arithmetic one, a single answer out of the question drowns all others."""
        return geometric_mean(scores)
