"""From the recipe's data section to examples by split: loads, converts, holds out, looks for overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lorasdk.contracts import DataLoader, LoadContext, Row
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.duplicates import find_duplicates
from lorasdk.data.example_store import Selection
from lorasdk.data.examples import Examples, read_examples
from lorasdk.data.splits import hold_out
from lorasdk.errors import DataError, Problem
from lorasdk.events import Emit, Notice
from lorasdk.recipe.schema import DataSection, DataSource, Split

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class BoundSource:
    """A source whose loader is found and whose options are validated, or rows handed over in memory."""

    source: DataSource
    """Format, columns and limits."""
    origin: str
    """Name for messages."""
    open: Callable[[Callable[[Problem], None]], Iterable[Row]]
    """Begin to read; faulty rows go to the argument."""


def bind_loader(
    split: str,
    source: DataSource,
    loader: DataLoader,
    options: Any,  # noqa: ANN401 - the loader owns the type
    *,
    base_dir: Path,
    place: str,
) -> tuple[BoundSource, list[Problem]]:
    """Tie a loader to its options; also what its cheap check finds."""

    def context(bad_row: Callable[[Problem], None]) -> LoadContext:
        return LoadContext(base_dir=base_dir, place=place, split=split, bad_row=bad_row)

    problems = list(loader.check(options, context(lambda _problem: None)))
    origin = f"{split} ({loader.name})"
    return BoundSource(source, origin, lambda bad_row: loader.load(options, context(bad_row))), problems


def bind_rows(split: str, source: DataSource, rows: Iterable[Row]) -> BoundSource:
    """Rows that the application hands over; they are read once and kept, so that an iterator may be used too.

    Raises:
        DataError: they are no rows at all.
    """
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise DataError(
            Problem(
                code="data.not-rows",
                message=f"data={{{split!r}: …}} must be a list or an iterable of rows, got {type(rows).__name__}",
                field=f"data.{split}",
                found=repr(rows)[:80],
                allowed='rows such as [{"instruction": "…", "output": "…"}]',
                fix="hand the rows themselves over; a file's path belongs into the recipe",
            )
        )
    kept = list(islice(rows, source.max_rows))
    return BoundSource(source, f"{split} rows", lambda _bad_row: kept)


def read_splits(
    sources: Mapping[str, BoundSource],
    section: DataSection,
    *,
    seed: int,
    emit: Emit,
    between: Callable[[], None] = lambda: None,
    max_overlap: float | None = None,
) -> dict[str, Examples]:
    """Read every source and hold out what the recipe takes from the training rows, if these are among the sources.

    Args:
        sources: by split.
        section: what is held out, and what becomes of bad rows.
        seed: of the held-out parts.
        emit: hears notices.
        between: called before each example; may raise to end the work.
        max_overlap: share of the test rows that may ask what a training row asks, 0 to 1; all of them when None.

    Raises:
        DataError: a source cannot be read, a share is impossible, or test rows overlap training more than allowed.
    """
    found = {name: _read(name, sources[name], section, emit, between) for name in SPLITS if name in sources}
    configured = {"validation": section.validation, "test": section.test}
    shares = {n: s for n, s in configured.items() if isinstance(s, Split) and n not in sources}
    if shares and "train" in found:
        found.update(_held_out(found["train"], shares, seed))
    if "train" not in found:
        return found
    duplicates = find_duplicates({name: examples.items for name, examples in found.items()})
    for notice in duplicates.notices():
        emit(notice)
    test = duplicates.overlaps.get("test")
    if test is not None and max_overlap is not None and test.share > max_overlap:
        raise DataError(test.refusal(max_overlap))
    return found


def _read(name: str, bound: BoundSource, section: DataSection, emit: Emit, between: Callable[[], None]) -> Examples:
    bad = BadRows(section.on_bad_row)
    examples = read_examples(_opened(bound, bad), source=bound.source, origin=bound.origin, bad=bad, between=between)
    if bad.problems:
        emit(Notice("data.skipped", f"{name}: {bad.summary()}"))
    return examples


def _opened(bound: BoundSource, bad: BadRows) -> Iterator[Row]:
    # Lazily, so that a loader that fails before its first row is named as one that fails later is.
    yield from bound.open(bad.report)


def _held_out(train: Examples, shares: Mapping[str, Split], seed: int) -> dict[str, Examples]:
    indices = hold_out(len(train.items), shares, seed=seed)
    parts = {name: Selection(train.items, chosen) for name, chosen in indices.items()}
    skipped = {"train": train.skipped}
    return {name: Examples.of(part, skipped=skipped.get(name, 0), store=part) for name, part in parts.items()}
