"""Makes a split ready to train on: encodes its examples, applies the length policy, proves the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorasdk.contracts import Example
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.proof import LISTED_ROWS, prove_masks
from lorasdk.errors import DataError, LorasdkError, Problem
from lorasdk.events import DataPrepared, Emit, Notice
from lorasdk.recipe.schema import DataSection


@dataclass(frozen=True, slots=True)
class PreparedSplit:
    """Token rows whose masks are proved, with the examples they came from."""

    split: str
    """``train``, ``validation`` or ``test``."""
    examples: tuple[Example, ...]
    """One per row, in the same order."""
    rows: tuple[TokenRow, ...]
    """What the model sees."""


def prepare_split(
    split: str, examples: Sequence[Example], encoder: Encoder, section: DataSection, *, skipped: int, emit: Emit
) -> PreparedSplit:
    """Encode and prove one split.

    Args:
        split: its name.
        examples: at least one.
        encoder: the tokenizer with its template.
        section: the recipe's policies: ``max_tokens``, ``too_long``, ``train_on``.
        skipped: rows left out before, for the announcement.
        emit: hears `Notice`s and `DataPrepared`.

    Raises:
        DataError: rows cannot be encoded, are too long, or fail a proof; all of them are listed.
    """
    rows = _encode_all(split, examples, encoder, section)
    long = frozenset(row.row for row in rows if len(row.ids) > section.max_tokens)
    if long:
        rows = _apply_length_policy(split, rows, long, section, emit)
    kept = {row.row for row in rows}
    used = tuple(example for example in examples if example.row in kept)
    if not rows:
        raise DataError(_nothing_left(split, len(examples), section))
    prove_masks(encoder, used, rows, truncated=long, train_on=section.train_on, origin=split)
    _count_control_tokens(split, used, encoder, emit)
    emit(
        DataPrepared(
            split=split,
            rows=len(rows),
            skipped=skipped + len(examples) - len(rows),
            tokens=sum(len(row.ids) for row in rows),
            supervised_tokens=sum(row.supervised_tokens for row in rows),
            longest=max(len(row.ids) for row in rows),
        )
    )
    return PreparedSplit(split, used, tuple(rows))


def _encode_all(split: str, examples: Sequence[Example], encoder: Encoder, section: DataSection) -> list[TokenRow]:
    rows: list[TokenRow] = []
    problems: list[Problem] = []
    for example in examples:
        try:
            rows.append(encoder.encode_example(example, train_on=section.train_on, origin=split))
        except LorasdkError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(*problems)
    return rows


def _apply_length_policy(
    split: str, rows: list[TokenRow], long: frozenset[int], section: DataSection, emit: Emit
) -> list[TokenRow]:
    longest = max(len(row.ids) for row in rows)
    listed = ", ".join(map(str, sorted(long)[:LISTED_ROWS])) + (", …" if len(long) > LISTED_ROWS else "")
    message = (
        f"{len(long)} row(s) of {split} are longer than data.max_tokens = {section.max_tokens}; longest: {longest}"
    )
    if section.too_long == "error":
        raise DataError(
            Problem(
                code="data.too-long",
                message=message,
                place=f"{split} row {min(long)}",
                field="data.max_tokens",
                found=f"rows {listed}",
                allowed=f"rows of at most {section.max_tokens} tokens",
                fix=f"raise data.max_tokens to {longest}, or set data.too_long to drop or truncate",
            )
        )
    if section.too_long == "drop":
        emit(Notice("data.dropped-too-long", f"{message}; dropped rows {listed}"))
        return [row for row in rows if row.row not in long]
    emit(Notice("data.truncated", f"{message}; truncated rows {listed}"))
    return [_truncate(row, section.max_tokens) for row in rows]


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


def _count_control_tokens(split: str, examples: Sequence[Example], encoder: Encoder, emit: Emit) -> None:
    texts = (text for e in examples for text in ([e.text] if e.text else [m.content for m in e.messages]))
    count = sum(len(encoder.renderer.shield.structural.findall(text)) for text in texts)
    if count:
        emit(
            Notice(
                "data.control-tokens", f"{count} control token(s) inside the text of {split} rows are encoded as text"
            )
        )


def check_unchanged(split: str, *, expected: str, actual: str) -> None:
    """Compare the hash of a split's rows with the one a passport or checkpoint recorded.

    Raises:
        DataError: the rows are not the same.
    """
    if expected != actual:
        raise DataError(
            Problem(
                code="data.changed",
                message=f"the {split} rows are not those the adapter was made with",
                field=f"data.{split}",
                found=f"sha256 {actual}",
                allowed=f"sha256 {expected}",
                fix="restore the file, or hand the new rows over in data={…}",
            )
        )
