"""The evaluator `json_fields`: is the answer a JSON object, and which of its fields are right?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict

from lorasdk.builtin.json_answers import MISSING, Where, equal, object_in, value_at
from lorasdk.builtin.normalising import Normalisation, normalised
from lorasdk.errors import DataError, Problem

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor

FieldPath = Annotated[str, Strict(), Field(pattern=r"^[^.]+(\.[^.]+)*$", examples=["items.0.price"])]


class JsonFieldsOptions(BaseModel):
    """Options of `json_fields`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    fields: Annotated[tuple[FieldPath, ...], Field(min_length=1)] | None = None
    """Which fields count: dotted paths such as `address.city` or `items.0.price`, numbers from 0. When left out, each
    outermost field of the row's reference, its value compared as a whole."""
    where: Where = "fence"
    """Where the JSON may stand: `answer` (nothing else is in the answer), `fence` (that, or nothing but one block of
    three backticks), `anywhere` (that, or the first object in the text)."""
    tolerance: Annotated[float, Strict(), Field(ge=0), AllowInfNan(False)] = 0.0
    """By how much numbers may differ."""
    extra_fields_count: Annotated[bool, Strict()] = False
    """Count each outermost field of the answer that the reference does not have as one more field, and as wrong."""
    normalise: Normalisation = "none"
    """What is made alike in texts before they are compared; the names are those of `exact_match`."""


class JsonFields:
    """The share of the reference's fields that the answer has right, 0 to 1; 0 where the answer is no JSON object.

    Values are compared by type: 1 is 1.0, but neither true nor "1"; lists in their order; objects key by key. A field
    that neither side has is right.
    """

    name = "json_fields"
    summary = "share of JSON fields that equal the reference's"
    higher_is_better = True
    Options = JsonFieldsOptions

    def score(
        self,
        options: JsonFieldsOptions,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - every evaluator is given one
    ) -> list[float]:
        """Answer every example's prompt and compare field by field; one score per example, 0 to 1.

        Raises:
            DataError: references that are no JSON object, each row named; or a field that no reference has.
        """
        references = _references(options, examples)
        answers = predictor.complete([example.prompt for example in examples])
        return [
            _share(object_in(answer.text, options.where), reference, options)
            for answer, reference in zip(answers, references, strict=True)
        ]


def _share(answer: dict[str, Any] | None, reference: dict[str, Any], options: JsonFieldsOptions) -> float:
    if answer is None:
        return 0.0
    same = partial(equal, tolerance=options.tolerance, alike=partial(normalised, how=options.normalise))
    if options.fields is None:
        right = [same(answer.get(key, MISSING), value) for key, value in reference.items()]
    else:
        right = [same(value_at(answer, path), value_at(reference, path)) for path in options.fields]
    extra = len(answer.keys() - reference.keys()) if options.extra_fields_count else 0
    return sum(right) / (len(right) + extra) if right or extra else 1.0


def _references(options: JsonFieldsOptions, examples: Sequence[Example]) -> list[dict[str, Any]]:
    found = [(example, object_in(example.reference, "answer")) for example in examples]
    wrong = [_no_object(example) for example, value in found if value is None]
    references = [value for _, value in found if value is not None]
    if not wrong:
        wrong = [
            _nobodys(path, references)
            for path in options.fields or ()
            if all(value_at(reference, path) is MISSING for reference in references)
        ]
    if wrong:
        raise DataError(*wrong)
    return references


def _no_object(example: Example) -> Problem:
    return Problem(
        code="data.reference-not-json",
        message="the row's answer is no JSON object, so there are no fields to compare with",
        place=f"row {example.row}",
        field="evaluation.evaluators",
        found=repr(example.reference)[:80],
        allowed='a JSON object such as {"city": "Oslo"}',
        fix="correct the row, or score these rows with another evaluator",
    )


def _nobodys(path: str, references: Sequence[dict[str, Any]]) -> Problem:
    return Problem(
        code="data.unknown-field",
        message=f"no row's answer has the field {path!r}, which the evaluator json_fields shall compare",
        field="evaluation.evaluators",
        found=path,
        allowed=", ".join(sorted({key for reference in references for key in reference}))[:200],
        fix="correct the path",
    )
