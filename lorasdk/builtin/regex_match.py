"""The evaluator `regex`: does the answer match a pattern, or say the same as the reference where the pattern looks?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator

from lorasdk.builtin.normalising import Normalisation, normalised
from lorasdk.builtin.pattern_limits import SECONDS, compiled, match
from lorasdk.errors import DataError, PluginError, Problem

if TYPE_CHECKING:
    from regex import Match, Pattern

    from lorasdk.contracts import EvaluationContext, Example, Predictor

SHOWN = 80
"""Characters of a text or pattern that a message shows."""

GroupNumber = Annotated[int, Strict(), Field(ge=0, le=99)]
GroupName = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z_]\w*$", examples=["answer"])]


class RegexOptions(BaseModel):
    """Options of `regex`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pattern: Annotated[str, Strict(), Field(min_length=1)]
    """A regular expression of Python's or of the library `regex`, at most 1000 characters; flags stand inside, such as
    `(?i)`. In YAML, quote it with single quotes."""
    how: Literal["search", "whole", "extract"] = "search"
    """`search`: the answer matches somewhere; `whole`: all of it matches, but for white space around it; `extract`:
    what `group` holds is the same in answer and reference."""
    group: GroupNumber | GroupName | None = None
    """For `extract`: number or name of the group; when left out, the first one, or the whole match if there is none."""
    take: Literal["first", "last"] = "first"
    """For `extract`: the first match of a text or its last one."""
    normalise: Normalisation = "none"
    """For `extract`: what is made alike on both sides before they are compared, by the names of `exact_match`."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        compiled(pattern)
        return pattern

    @field_validator("group")
    @classmethod
    def _exists(cls, group: int | str | None, info: ValidationInfo) -> int | str | None:
        if group is None or "pattern" not in info.data:  # what is wrong with the pattern is said already
            return group
        pattern = compiled(info.data["pattern"])
        known = [*range(pattern.groups + 1), *pattern.groupindex]
        if group not in known:
            raise ValueError(f"the pattern has no group {group!r}; it has {', '.join(map(str, known))}")
        return group

    @property
    def effective_group(self) -> int | str:
        """The group that is meant when none is named."""
        return min(1, compiled(self.pattern).groups) if self.group is None else self.group


class Regex:
    """1 for an answer that the pattern matches, or that says what the reference says where it looks; 0 otherwise.

    The library `regex` searches, because it can be limited: a pattern that takes more than a second on one answer is
    an error, not a score.
    """

    name = "regex"
    summary = "the answer matches a pattern, or the reference's match"
    higher_is_better = True
    Options = RegexOptions

    def score(
        self, options: RegexOptions, examples: Sequence[Example], predictor: Predictor, context: EvaluationContext
    ) -> list[float]:
        """Answer every example's prompt and match; one score per example.

        Raises:
            DataError: references in which the pattern finds nothing to compare with; each row is named.
            PluginError: the pattern takes more than a second on an answer.
        """
        looking = _Looking(options, context)
        wanted = looking.references(examples) if options.how == "extract" else [None] * len(examples)
        answers = predictor.complete([example.prompt for example in examples])
        scores = []
        for answer, example, reference in zip(answers, examples, wanted, strict=True):
            context.check_stop()
            scores.append(float(looking.right(answer.text, example.row, reference)))
        return scores


class _Looking:
    """The pattern, compiled once, and how texts are looked at through it."""

    def __init__(self, options: RegexOptions, context: EvaluationContext) -> None:
        self.options = options
        self.place = context.place
        self.group = options.effective_group
        self.pattern: Pattern[str] = compiled(options.pattern)

    def right(self, answer: str, row: int, reference: str | None) -> bool:
        """Whether the answer is right; `reference` is what was extracted from the row's own."""
        if self.options.how == "extract":
            return self.extracted(answer, row) == reference
        if self.options.how == "whole":
            return self.match(answer.strip(), row, whole=True) is not None
        return self.match(answer, row) is not None

    def extracted(self, text: str, row: int) -> str | None:
        """What the group holds in `text`, normalised; None where there is no match."""
        found = self.match(text, row, last=self.options.take == "last")
        held: str | None = found.group(self.group) if found else None
        return None if held is None else normalised(held, self.options.normalise)

    def references(self, examples: Sequence[Example]) -> list[str | None]:
        """What is extracted from each reference."""
        wanted = [self.extracted(example.reference, example.row) for example in examples]
        empty = [example for example, held in zip(examples, wanted, strict=True) if held is None]
        if empty:
            raise DataError(*(_nothing_extracted(example, self.options) for example in empty))
        return wanted

    def match(self, text: str, row: int, *, whole: bool = False, last: bool = False) -> Match[str] | None:
        """Where the pattern is found in a text of the row's."""
        try:
            return match(self.pattern, text, whole=whole, last=last)
        except TimeoutError as error:
            raise PluginError(_too_slow(self.options.pattern, self.place, row)) from error


def _too_slow(pattern: str, place: str, row: int) -> Problem:
    return Problem(
        code="evaluation.slow-pattern",
        message=f"the pattern of the evaluator regex takes more than {SECONDS:g} s on a text of row {row}",
        place=place,
        field="evaluation.evaluators",
        found=pattern[:SHOWN],
        allowed="a pattern that tries few ways to match the same text",
        fix="avoid repetitions within repetitions, such as (a+)+ and (.*)*",
    )


def _nothing_extracted(example: Example, options: RegexOptions) -> Problem:
    return Problem(
        code="data.reference-not-matched",
        message="the pattern of the evaluator regex finds nothing in the row's answer to compare with",
        place=f"row {example.row}",
        field="evaluation.evaluators",
        found=repr(example.reference)[:SHOWN],
        allowed=f"a reference in which {options.pattern[:SHOWN]} is found",
        fix="correct the pattern or the row",
    )
