"""Encodes a split's examples one by one: applies the length policy, proves the masks, counts; keeps no example."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lorasdk.contracts import Example
from lorasdk.data.bad_rows import MOST_COLLECTED
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.example_store import no_room
from lorasdk.data.proof import LISTED_ROWS, MaskProof
from lorasdk.data.token_store import RowWriter
from lorasdk.errors import DataError, LorasdkError, Problem, ResourceError
from lorasdk.recipe.schema import DataSection


class SplitEncoding:
    """One pass over a split. What is wrong with single rows is collected, and raised when all are read."""

    def __init__(self, split: str, encoder: Encoder, section: DataSection) -> None:
        self.split, self.encoder, self.section = split, encoder, section
        self._proof = MaskProof(encoder, train_on=section.train_on, origin=split)
        self._problems: list[Problem] = []
        self._long: list[int] = []
        self._seen = self._longest_seen = self._control_tokens = 0
        self._tokens = self._supervised = self._longest = 0
        self.rows = RowWriter()

    def run(self, examples: Iterable[Example], *, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Encode all; afterwards `rows` holds them. `between` is called before each and may raise to end the work.

        Returns:
            ``tokens``, ``supervised_tokens``, ``longest`` row in tokens, and ``notices``: pairs of code and message.

        Raises:
            DataError: rows cannot be encoded, are too long, or fail a proof; all of them are listed.
            ResourceError: the disk has no room.
        """
        try:
            for example in examples:
                between()
                self._take(example)
        except OSError as error:
            raise ResourceError(no_room(error)) from error
        if self._problems:
            raise DataError(*self._problems)
        notices = [*self._length_notice(), *self._control_token_notice()]
        if not self.rows.rows:
            raise DataError(_nothing_left(self.split, self._seen, self.section))
        self._proof.settle()
        counts = {"tokens": self._tokens, "supervised_tokens": self._supervised, "longest": self._longest}
        return {**counts, "notices": notices}

    def _take(self, example: Example) -> None:
        self._seen += 1
        try:
            row = self.encoder.encode_example(example, train_on=self.section.train_on, origin=self.split)
        except LorasdkError as error:
            self._problems.extend(error.problems)
            if len(self._problems) >= MOST_COLLECTED:
                raise DataError(*self._problems) from error
            return
        self._longest_seen = max(self._longest_seen, len(row.ids))
        long = len(row.ids) > self.section.max_tokens
        if long:
            self._long.append(row.row)
        if not long or self.section.too_long == "truncate":
            self._keep(example, _truncate(row, self.section.max_tokens) if long else row, truncated=long)

    def _keep(self, example: Example, row: TokenRow, *, truncated: bool) -> None:
        self._proof.check(example, row, truncated=truncated)
        texts = [example.text] if example.text else [message.content for message in example.messages]
        self._control_tokens += sum(len(self.encoder.renderer.shield.structural.findall(text)) for text in texts)
        self._tokens += len(row.ids)
        self._supervised += row.supervised_tokens
        self._longest = max(self._longest, len(row.ids))
        self.rows.append(row)

    def _length_notice(self) -> list[tuple[str, str]]:
        if not self._long:
            return []
        limit, longest = self.section.max_tokens, self._longest_seen
        listed = ", ".join(map(str, self._long[:LISTED_ROWS])) + (", …" if len(self._long) > LISTED_ROWS else "")
        count = f"{len(self._long)} row(s) of {self.split}"
        message = f"{count} are longer than data.max_tokens = {limit}; longest: {longest}"
        if self.section.too_long == "drop":
            return [("data.dropped-too-long", f"{message}; dropped rows {listed}")]
        if self.section.too_long == "truncate":
            return [("data.truncated", f"{message}; truncated rows {listed}")]
        raise DataError(
            Problem(
                code="data.too-long",
                message=message,
                place=f"{self.split} row {min(self._long)}",
                field="data.max_tokens",
                found=f"rows {listed}",
                allowed=f"rows of at most {limit} tokens",
                fix=f"raise data.max_tokens to {longest}, or set data.too_long to drop or truncate",
            )
        )

    def _control_token_notice(self) -> list[tuple[str, str]]:
        if not self._control_tokens:
            return []
        count = f"{self._control_tokens} control token(s)"
        return [("data.control-tokens", f"{count} inside the text of {self.split} rows are encoded as text")]


def _truncate(row: TokenRow, length: int) -> TokenRow:
    spans = tuple((start, min(end, length)) for start, end in row.spans if start < length)
    return TokenRow(row.row, row.ids[:length], spans)


def _nothing_left(split: str, rows: int, section: DataSection) -> Problem:
    return Problem(
        code="data.nothing-left",
        message=f"all {rows} row(s) of {split} are longer than data.max_tokens = {section.max_tokens}",
        field="data.max_tokens",
        fix="raise data.max_tokens",
    )
