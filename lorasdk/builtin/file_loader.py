"""The data loader `file`: JSON Lines, JSON, CSV and Parquet, by suffix or by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from lorasdk.builtin.csv_rows import csv_rows
from lorasdk.builtin.json_rows import json_rows
from lorasdk.builtin.jsonl_rows import jsonl_rows
from lorasdk.builtin.parquet_rows import parquet_rows
from lorasdk.contracts import LoadContext, Row
from lorasdk.errors import DataError, Problem

Kind = Literal["jsonl", "json", "csv", "parquet"]
SUFFIXES: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


class FileOptions(BaseModel):
    """Options of the loader `file`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Annotated[str, Strict(), Field(min_length=1)]
    """Path of the file, relative to the recipe's folder; `.gz` may follow the suffix of JSON Lines, JSON and CSV."""
    kind: Literal["auto", "jsonl", "json", "csv", "parquet"] = "auto"
    """What the file holds; `auto` goes by the suffix."""
    delimiter: Annotated[str, Strict(), Field(min_length=1, max_length=1, pattern=r'[^"\r\n]')] | None = None
    """With `csv`: the character between two cells; a comma (a tab for `.tsv`) when left out."""


class FileLoader:
    """Rows of one file on this machine, streamed."""

    name = "file"
    summary = "JSON Lines, JSON, CSV or Parquet on this machine"
    Options = FileOptions

    def check(self, options: FileOptions, context: LoadContext) -> Sequence[Problem]:
        """Problems with the path and the kind, without reading rows."""
        path = _path(options, context)
        problem = _path_problem(path, context)
        if problem is not None:
            return [problem]
        if options.kind == "auto" and _kind(path) is None:
            return [
                _problem(
                    "data.unknown-suffix",
                    f"the suffix {path.suffix!r} does not say what the file holds",
                    path,
                    context,
                    f"set kind to {', '.join(sorted(set(SUFFIXES.values())))}, or rename the file",
                )
            ]
        return []

    def load(self, options: FileOptions, context: LoadContext) -> Iterator[Row]:
        """Yield the file's rows.

        Raises:
            DataError: the file cannot be read as a whole, or has no rows.
        """
        problems = self.check(options, context)
        if problems:
            raise DataError(*problems)
        path = _path(options, context)
        seen = 0

        def bad_row(problem: Problem) -> None:
            nonlocal seen
            seen += 1
            context.bad_row(problem)

        try:
            for row in _rows(path, options, bad_row):
                seen += 1
                yield row
        except OSError as error:
            raise DataError(_unreadable(str(error), path, context)) from error
        if not seen:
            raise DataError(_problem("data.no-rows", "no samples in file", path, context, "put rows into the file"))


def _path_problem(path: Path, context: LoadContext) -> Problem | None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        fix = "correct the path; it is relative to the recipe's folder"
        message = f"there is no such file (working directory: {Path.cwd()})"
        return _problem("data.no-such-file", message, path, context, fix)
    except (OSError, ValueError) as error:  # a folder that may not be entered, a name that no file can have
        return _unreadable(str(error), path, context)
    if S_ISDIR(mode):
        return _problem("data.is-folder", "this is a folder", path, context, "name one file inside it")
    return None if os.access(path, os.R_OK) else _unreadable("permission denied", path, context)


def _unreadable(why: str, path: Path, context: LoadContext) -> Problem:
    message = f"the file cannot be read: {why}"
    return _problem("data.unreadable", message, path, context, "check the file and its permissions")


def _rows(path: Path, options: FileOptions, bad_row: Callable[[Problem], None]) -> Iterator[Row]:
    kind = _kind(path) if options.kind == "auto" else options.kind
    if kind == "jsonl":
        return jsonl_rows(path, bad_row)
    if kind == "json":
        return json_rows(path, bad_row)
    if kind == "csv":
        default = "\t" if ".tsv" in map(str.lower, path.suffixes) else ","
        return csv_rows(path, options.delimiter or default, bad_row)
    return parquet_rows(path)


def _kind(path: Path) -> Kind | None:
    inner = path.with_suffix("") if path.suffix == ".gz" else path
    kind = SUFFIXES.get(inner.suffix.lower())
    return None if kind == "parquet" and path.suffix == ".gz" else kind


def _path(options: FileOptions, context: LoadContext) -> Path:
    path = Path(options.path)
    with suppress(RuntimeError):  # `~somebody` who has no home here stays as written, and is missed as any other file
        path = path.expanduser()
    return context.base_dir / path


def _problem(code: str, message: str, path: Path, context: LoadContext, fix: str) -> Problem:
    return Problem(
        code=code,
        message=message,
        place=str(path.absolute()),
        field=f"data.{context.split}",
        found=f"named at {context.place}" if context.place else "",
        fix=fix,
    )
