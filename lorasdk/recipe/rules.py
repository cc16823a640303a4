"""Rules about several fields at once, which no single field's type can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic_core import PydanticCustomError

RULE = "lorasdk_rule"
"""Pydantic's error type for a broken rule; its context holds the `Breach`es."""

Anything = TypeVar("Anything")


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule."""

    code: str
    """Becomes `Problem.code`."""
    message: str
    """What is wrong, in one sentence that names the fields."""
    fields: tuple[tuple[str, ...], ...]
    """The fields it speaks about, relative to the section that checks it; the first one is where it is shown."""
    allowed: str = ""
    """What may stand there."""
    fix: str = ""
    """One line that says what to do."""


def refuse(checked: Anything, *breaches: Breach) -> Anything:
    """Give `checked` back when nothing is broken; tell pydantic about all `breaches` otherwise."""
    if not breaches:
        return checked
    summary = "; ".join(breach.message for breach in breaches)
    # Braces would be taken for placeholders of pydantic's template.
    raise PydanticCustomError(RULE, "{summary}", {"summary": summary, "breaches": breaches})


def training_breaches(
    *, epochs: float | None, max_steps: int | None, batch_size: int, micro_batch: int | None
) -> list[Breach]:
    """Say what in `training` contradicts itself."""
    found = []
    if epochs is not None and max_steps is not None:
        found.append(
            Breach(
                code="recipe.both-given",
                message="training.epochs and training.max_steps both say how long to train",
                fields=(("max_steps",), ("epochs",)),
                allowed="one of epochs and max_steps",
                fix="delete `epochs` to train for `max_steps`, or delete `max_steps` to train whole passes",
            )
        )
    if micro_batch is not None and micro_batch > batch_size:
        found.append(
            Breach(
                code="recipe.micro-batch-too-large",
                message=f"training.micro_batch ({micro_batch}) is larger than training.batch_size ({batch_size})",
                fields=(("micro_batch",), ("batch_size",)),
                allowed=f"a whole number from 1 to {batch_size}",
                fix=f"lower micro_batch to {batch_size} or less, or raise batch_size",
            )
        )
    return found


def evaluation_breaches(*, forgetting: bool, max_forgetting: float | None) -> list[Breach]:
    """Say what in `evaluation` contradicts itself."""
    if forgetting or max_forgetting is None:
        return []
    return [
        Breach(
            code="recipe.forgetting-unmeasured",
            message="evaluation.max_forgetting bounds what evaluation.forgetting: false leaves unmeasured",
            fields=(("max_forgetting",), ("forgetting",)),
            fix="delete `forgetting: false` to measure and keep the bound, or delete `max_forgetting`",
        )
    ]


def split_breaches(*, fraction: float | None, rows: int | None) -> list[Breach]:
    """Say whether a held-out part is not described exactly once."""
    if (fraction is None) != (rows is None):
        return []
    both = fraction is not None
    return [
        Breach(
            code="recipe.both-given" if both else "recipe.split-empty",
            message=f"a held-out part needs exactly one of fraction and rows, not {'both' if both else 'none'}",
            fields=(("fraction",), ("rows",)) if both else ((), ("fraction",), ("rows",)),
            allowed="fraction (a share between 0 and 1) or rows (a number of rows)",
            fix="delete `fraction` or `rows`" if both else "write `fraction: 0.1` or `rows: 50`",
        )
    ]


def watching_breaches(*, validation_given: bool, early_stopping_given: bool, keep: str) -> list[Breach]:
    """Say which training options watch validation rows that the recipe does not have."""
    watchers = [("early_stopping", early_stopping_given), ("keep", keep == "best")]
    return [
        Breach(
            code="recipe.validation-needed",
            message=f"training.{field} watches a metric on validation rows, but data.validation is not given",
            fields=(("training", field), ("data", "validation")),
            fix=f"add `validation: 0.1` to data, or remove training.{field}",
        )
        for field, given in watchers
        if given and not validation_given
    ]
