"""The evaluator `token_f1`: how much of the reference is in the answer, and of the answer in the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from lorasdk.builtin.normalising import Normalisation, normalised
from lorasdk.builtin.unspaced_scripts import tokens

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor


class TokenF1Options(BaseModel):
    """Options of `token_f1`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    normalise: Normalisation = "squad"
    """What is made alike on both sides first; the names are those of `exact_match`."""


class TokenF1:
    """F1 = 2PR / (P + R) over tokens, 0 to 1, as SQuAD's evaluation computes it.

    P is the share of the answer's tokens that are in the reference, R that of the reference's in the answer; a token
    counts as often as it occurs on both sides, and order does not count. Where either side has no token, 1 if both have
    none and 0 otherwise.

    Tokens are words; of scripts that write no spaces, such as Chinese, Japanese and Thai, they are characters. Which of
    the two is decided for each character, so that a text may mix them. Sources: Rajpurkar et al. 2016 (SQuAD), the
    empty case of Rajpurkar et al. 2018 (SQuAD 2.0), characters for Chinese as in Lewis et al. 2020 (MLQA).
    """

    name = "token_f1"
    summary = "words, or Chinese characters, shared with the reference"
    higher_is_better = True
    Options = TokenF1Options

    def score(
        self,
        options: TokenF1Options,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - every evaluator is given one
    ) -> list[float]:
        """Answer every example's prompt and compare; one score per example, 0 to 1."""
        answers = predictor.complete([example.prompt for example in examples])
        return [
            _f1(tokens(normalised(answer.text, options.normalise)), tokens(normalised(said, options.normalise)))
            for answer, said in zip(answers, (example.reference for example in examples), strict=True)
        ]


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    """2PR / (P + R), which is twice the shared tokens by all tokens of both."""
    if not answer or not reference:
        return float(answer == reference)
    shared = (Counter(answer) & Counter(reference)).total()
    return 2 * shared / (len(answer) + len(reference))
