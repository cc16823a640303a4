"""Makes a split ready to train on: encodes its examples and proves the masks, or recalls what that gave before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorasdk.contracts import Example
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.example_store import Selection
from lorasdk.data.split_encoding import SplitEncoding
from lorasdk.data.token_cache import TokenCache, rows_key
from lorasdk.data.token_store import TokenStore, temporary_store
from lorasdk.errors import DataError, Problem
from lorasdk.events import DataPrepared, Emit, Notice
from lorasdk.recipe.schema import DataSection


@dataclass(frozen=True, slots=True)
class PreparedSplit:
    """Token rows whose masks are proved, with the examples they came from."""

    split: str
    """``train``, ``validation`` or ``test``."""
    examples: Sequence[Example]
    """One per row, in the same order."""
    rows: Sequence[TokenRow]
    """What the model sees; each is read when it is asked for."""
    counts: DataPrepared
    """Rows and tokens, as announced."""
    encoded_sha256: str
    """Hash of the rows' tokens and spans, in order."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where encoded rows are kept, and the name of what they are made from."""

    cache: TokenCache
    """Of this user."""
    identity: str
    """Digest of the examples and their row numbers."""


def prepare_split(
    split: str,
    examples: Sequence[Example],
    encoder: Encoder,
    section: DataSection,
    *,
    skipped: int,
    emit: Emit,
    remembered: Remembered | None = None,
    between: Callable[[], None] = lambda: None,
) -> PreparedSplit:
    """Encode and prove one split, unless that was done before.

    Args:
        split: its name.
        examples: at least one.
        encoder: the tokenizer with its template.
        section: the recipe's policies: ``max_tokens``, ``too_long``, ``train_on``.
        skipped: rows left out before, for the announcement.
        emit: hears `Notice`s and `DataPrepared`.
        remembered: a cache to ask first and to keep the rows in; without one they are encoded.
        between: called before each example is encoded; may raise to end the work.

    Raises:
        DataError: rows cannot be encoded, are too long, or fail a proof; all of them are listed.
    """
    encoding = SplitEncoding(split, encoder, section)
    rows = _rows(encoding, examples, remembered, emit=emit, between=between)
    for code, message in rows.facts["notices"]:
        emit(Notice(code, message))
    counts = DataPrepared(
        split=split,
        rows=len(rows),
        skipped=skipped + len(examples) - len(rows),
        tokens=rows.facts["tokens"],
        supervised_tokens=rows.facts["supervised_tokens"],
        longest=rows.facts["longest"],
    )
    emit(counts)
    return PreparedSplit(split, _used(examples, rows), rows, counts, rows.sha256)


def _rows(
    encoding: SplitEncoding,
    examples: Sequence[Example],
    remembered: Remembered | None,
    *,
    emit: Emit,
    between: Callable[[], None],
) -> TokenStore:
    """Recall rows, or encode them."""
    if remembered is None:
        facts = encoding.run(examples, between=between)
        return temporary_store(lambda file: encoding.rows.write(file, facts))
    key = rows_key(remembered.identity, split=encoding.split, encoder=encoding.encoder, section=encoding.section)
    known = remembered.cache.recall(key, emit)
    if known is not None:
        return known
    facts = encoding.run(examples, between=between)
    return remembered.cache.keep(key, encoding.rows, facts, emit)


def _used(examples: Sequence[Example], rows: TokenStore) -> Sequence[Example]:
    if len(rows) == len(examples):
        return examples
    kept = set(rows.arrays["numbers"].tolist())
    return Selection(examples, [place for place, example in enumerate(examples) if example.row in kept])


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
