"""The evaluator `exact_match`: does the whole answer equal the reference?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from lorasdk.builtin.normalising import Normalisation, normalised

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor


class ExactMatchOptions(BaseModel):
    """Options of `exact_match`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    normalise: Normalisation = "case"
    """What is made alike on both sides first: `none`, `space` (strips and folds white space), `case` (also ignores
    case and a final full stop), `punctuation`, `articles`, `width` (full-width forms), `nfkc`, `squad`; or a list of
    these, applied in order."""


class ExactMatch:
    """1 for an answer that equals the reference after normalisation, 0 otherwise."""

    name = "exact_match"
    summary = "the whole answer equals the reference"
    higher_is_better = True
    Options = ExactMatchOptions

    def score(
        self,
        options: ExactMatchOptions,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - every evaluator is given one
    ) -> list[float]:
        """Answer every example's prompt and compare; one score per example."""
        answers = predictor.complete([example.prompt for example in examples])
        return [
            float(normalised(answer.text, options.normalise) == normalised(example.reference, options.normalise))
            for answer, example in zip(answers, examples, strict=True)
        ]
