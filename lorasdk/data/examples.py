"""Reads a source's rows into examples: converts, counts what cannot be used, and hashes what is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from reprlib import repr as short_repr

from lorasdk.contracts import Example, Row
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.canonical import canonical_json
from lorasdk.data.example_store import ExampleStore
from lorasdk.data.fault import ConversationFaultError
from lorasdk.data.formats import Format, absent_columns, choose_format, pick_columns
from lorasdk.errors import DataError, LorasdkError, Problem
from lorasdk.recipe.schema import DataSource


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of one source."""

    items: Sequence[Example]
    """At least one; many are on disk, and each is read when it is asked for."""
    skipped: int
    """Rows left out."""
    format: str
    """How the rows were read."""
    sha256: str
    """Hash of the examples in order: what they say, not how the source spelt it."""
    identity: str
    """Hash of `sha256` and the examples' row numbers."""

    @classmethod
    def of(
        cls,
        items: Iterable[Example],
        *,
        skipped: int,
        store: Sequence[Example] | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> Examples:
        """Hash examples as they pass, and put them into a store unless they are in one already."""
        digest, numbers = hashlib.sha256(), hashlib.sha256()
        kept = ExampleStore() if store is None else None
        for example in items:
            between()
            digest.update(canonical_json(example.messages, example.text, example.tools) + b"\n")
            numbers.update(b"%d\n" % example.row)
            if kept is not None:
                kept.append(example)
        all_of_them: Sequence[Example] = kept if kept is not None else store or ()
        form = "text" if all_of_them and all_of_them[0].text is not None else "conversation"
        sha256 = digest.hexdigest()
        identity = hashlib.sha256(f"{sha256} {numbers.hexdigest()}".encode()).hexdigest()
        return cls(all_of_them, skipped, form, sha256, identity)


def read_examples(
    rows: Iterable[Row],
    *,
    source: DataSource,
    origin: str,
    bad: BadRows,
    between: Callable[[], None] = lambda: None,
) -> Examples:
    """Convert rows.

    Args:
        rows: as a loader gives them.
        source: format, column mapping and `max_rows`.
        origin: name of the source, for messages.
        bad: takes faulty rows, those of the loader included.
        between: called before each example; may raise to end the work.

    Raises:
        DataError: nothing can be used, or rows are faulty and the policy is ``error``.
    """
    examples = _examples(_mappings(rows, source.max_rows, origin, bad), source, origin, bad)
    read = Examples.of(examples, skipped=0, between=between)
    bad.settle()
    if not read.items:
        raise DataError(
            Problem(
                code="data.no-rows",
                message=f"no samples in {origin}" + (f"; {len(bad.problems)} were skipped" if bad.problems else ""),
                place=origin,
                fix="put rows into the source, or look at why they are skipped",
            )
        )
    return replace(read, skipped=len(bad.problems))


def _examples(rows: Iterable[tuple[int, Row]], source: DataSource, origin: str, bad: BadRows) -> Iterator[Example]:
    form: Format | None = None
    for number, row in rows:
        form = form or _format_of(row, source, origin, bad)
        columns = pick_columns(row, form, source.columns)
        absent = [source.columns.get(column, column) for column in form.needs if column not in columns]
        if absent:
            fix = "correct the row, or set data.on_bad_row: skip"
            bad.report(absent_columns(absent, list(row), place=f"{origin} row {number}", fix=fix))
            continue
        try:
            yield form.convert(number, columns)
        except ConversationFaultError as fault:
            bad.report(_unusable(fault, f"{origin} row {number}"))


def _format_of(row: Row, source: DataSource, origin: str, bad: BadRows) -> Format:
    try:
        return choose_format(source.format, list(row), source.columns, origin=origin)
    except DataError:
        bad.settle()  # a first row that cannot be read explains more than a second one that fits nothing
        raise


def _unusable(fault: ConversationFaultError, place: str) -> Problem:
    return Problem(
        code=fault.code,
        message=fault.message,
        place=place,
        found=fault.found,
        allowed=fault.allowed,
        fix=fault.fix or "correct the row, or set data.on_bad_row: skip",
    )


def _mappings(rows: Iterable[object], most: int | None, origin: str, bad: BadRows) -> Iterator[tuple[int, Row]]:
    """Number the rows; a loader that fails is told apart from one that says why."""
    number = 0
    try:
        for row in islice(rows, most):
            number += 1
            if isinstance(row, Mapping):
                yield number, row
            else:
                bad.report(_not_a_mapping(origin, number, row))
    except LorasdkError:
        bad.settle()  # what was wrong with single rows explains more than what came of it
        raise
    except Exception as error:
        raise DataError(_loader_failed(origin, number + 1, error)) from error


def _loader_failed(origin: str, number: int, error: Exception) -> Problem:
    return Problem(
        code="data.loader-failed",
        message=f"the loader failed: {type(error).__name__}: {error}",
        place=f"{origin} row {number}",
        fix="repair the loader, or the source it reads",
    )


def _not_a_mapping(origin: str, number: int, row: object) -> Problem:
    return Problem(
        code="data.row-not-an-object",
        message=f"the loader gave {type(row).__name__} instead of a mapping",
        place=f"{origin} row {number}",
        found=short_repr(row),
        allowed="a mapping from column name to value",
        fix="repair the loader",
    )
