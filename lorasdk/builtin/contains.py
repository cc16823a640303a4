"""The evaluator `contains`: does the answer say what it has to say somewhere?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from lorasdk.builtin.normalising import Normalisation, normalised
from lorasdk.builtin.unspaced_scripts import stands_in
from lorasdk.errors import DataError, Problem

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor

Text = Annotated[str, Strict(), Field(min_length=1)]


class ContainsOptions(BaseModel):
    """Options of `contains`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    texts: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """What every answer is searched for; when left out, each row's own reference."""
    need: Literal["all", "any"] = "all"
    """Whether all of `texts` must be there or one is enough."""
    whole_words: Annotated[bool, Strict()] = True
    """What is found may begin and end in no word's middle, so that `no` is not found in `know`. Chinese and other
    scripts that write no spaces are searched as they are."""
    normalise: Normalisation = "case"
    """What is made alike on both sides first; the names are those of `exact_match`."""

    @model_validator(mode="after")
    def _texts_say_something(self) -> Self:
        empty = [text for text in self.texts or () if not normalised(text, self.normalise)]
        if empty:
            raise ValueError(f"nothing is left of {empty[0]!r} after normalise, and nothing is found in every answer")
        return self


class Contains:
    """1 for an answer that contains the reference, or the given texts, after normalisation; 0 otherwise.

    An answer that lists everything contains everything: compare its length, or take `exact_match` or `token_f1`.
    """

    name = "contains"
    summary = "the answer contains the reference, or given texts"
    higher_is_better = True
    Options = ContainsOptions

    def score(
        self,
        options: ContainsOptions,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - every evaluator is given one
    ) -> list[float]:
        """Answer every example's prompt and search; one score per example.

        Raises:
            DataError: references of which nothing is left after normalisation; each row is named.
        """
        wanted = _wanted(options, examples)
        answers = predictor.complete([example.prompt for example in examples])
        return [
            float(_holds(normalised(answer.text, options.normalise), needles, options))
            for answer, needles in zip(answers, wanted, strict=True)
        ]


def _holds(answer: str, needles: Sequence[str], options: ContainsOptions) -> bool:
    quantified = all if options.need == "all" else any
    return quantified(stands_in(needle, answer, whole_words=options.whole_words) for needle in needles)


def _wanted(options: ContainsOptions, examples: Sequence[Example]) -> list[list[str]]:
    """What each example's answer is searched for, normalised."""
    if options.texts is not None:
        return [[normalised(text, options.normalise) for text in options.texts]] * len(examples)
    wanted = [normalised(example.reference, options.normalise) for example in examples]
    empty = [example for example, needle in zip(examples, wanted, strict=True) if not needle]
    if empty:
        raise DataError(*(_nothing_to_find(example) for example in empty))
    return [[needle] for needle in wanted]


def _nothing_to_find(example: Example) -> Problem:
    return Problem(
        code="data.nothing-to-find",
        message="nothing is left of the row's answer after normalise, so every answer would contain it",
        place=f"row {example.row}",
        field="evaluation.evaluators",
        found=repr(example.reference)[:80],
        allowed="a reference with letters or digits",
        fix="give the evaluator contains another normalise, or correct the row",
    )
