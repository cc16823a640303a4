"""The evaluator `choice`: does the model find the reference likelier than every other label?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from lorasdk.errors import DataError, Problem

if TYPE_CHECKING:
    from lorasdk.contracts import EvaluationContext, Example, Predictor
    from lorasdk.results import AnswerScore

FEWEST_LABELS, MOST_LABELS = 2, 100
"""Distinct references that are taken for labels; more are hardly a closed set, and each costs a row per example."""
SHOWN = 20
"""Labels that a message lists."""


class ChoiceOptions(BaseModel):
    """Options of `choice`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    labels: tuple[str, ...] | None = Field(default=None, min_length=FEWEST_LABELS)
    """The allowed answers; when left out, the distinct references of the examples, at most 100."""
    length_normalised: bool = False
    """Compare the mean log-probability of a token instead of that of the whole answer, which favours short labels."""


class Choice:
    """1 where the likeliest of the labels is the reference, 0 otherwise; nothing is generated.

    A label's likelihood is that of its tokens and of the one that ends the turn. Of labels that are equally likely the
    first counts.
    """

    name = "choice"
    summary = "the reference is the likeliest label"
    higher_is_better = True
    Options = ChoiceOptions

    def score(
        self,
        options: ChoiceOptions,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,  # noqa: ARG002 - every evaluator is given one
    ) -> list[float]:
        """Score every label after every example's prompt; one score per example.

        Raises:
            DataError: a reference is none of the labels, or the references are too many or too few to be labels.
        """
        labels = _labels(options, examples)
        prompts = [example.prompt for example in examples for _ in labels]
        scores = predictor.log_probabilities(prompts, [*labels] * len(examples))
        per_example = (scores[i * len(labels) : (i + 1) * len(labels)] for i in range(len(examples)))
        return [
            float(_likeliest(labels, found, options) == example.reference)
            for example, found in zip(examples, per_example, strict=True)
        ]


def _likeliest(labels: Sequence[str], scores: Sequence[AnswerScore], options: ChoiceOptions) -> str:
    weights = [score.per_token if options.length_normalised else score.log_probability for score in scores]
    return labels[weights.index(max(weights))]


def _labels(options: ChoiceOptions, examples: Sequence[Example]) -> tuple[str, ...]:
    if options.labels is None:
        return _labels_of_data(examples)
    labels = tuple(dict.fromkeys(options.labels))
    foreign = [example for example in examples if example.reference not in labels]
    if foreign:
        raise DataError(*(_foreign(example, labels) for example in foreign))
    return labels


def _labels_of_data(examples: Sequence[Example]) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(example.reference for example in examples))
    if FEWEST_LABELS <= len(labels) <= MOST_LABELS:
        return labels
    raise DataError(
        Problem(
            code="data.not-labels",
            message=f"{len(examples)} rows have {len(labels)} different answers, so these cannot be taken for labels",
            field="evaluation.evaluators",
            found=_listed(labels),
            allowed=f"{FEWEST_LABELS} to {MOST_LABELS} different answers, or labels in the evaluator's options",
            fix="write {name: choice, labels: [...]}, or use another evaluator, such as exact_match or perplexity",
        )
    )


def _foreign(example: Example, labels: Sequence[str]) -> Problem:
    return Problem(
        code="data.unknown-label",
        message="the row's answer is none of the labels that the evaluator choice may choose from",
        place=f"row {example.row}",
        field="evaluation.evaluators",
        found=repr(example.reference),
        allowed=_listed(labels),
        fix="add the label to the evaluator's labels, or correct the row",
    )


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(map(repr, labels[:SHOWN])) + more
