"""The formats a row may have: which columns each needs, and how it becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lorasdk.contracts import Example, Message, Row
from lorasdk.data.cells import answer_text, object_list, optional_text, required_text
from lorasdk.data.conversation import check_turns, read_turns
from lorasdk.errors import DataError, Problem


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one kind are read."""

    name: str
    """What a recipe calls it."""
    needs: tuple[str, ...]
    """Columns without which a row is not of this kind."""
    takes: tuple[str, ...]
    """Further columns it reads."""
    convert: Callable[[int, Mapping[str, object]], Example]
    """Row number and columns to an example; raises `ConversationFaultError`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns it reads."""
        return self.needs + self.takes


def _alpaca(number: int, row: Mapping[str, object]) -> Example:
    instruction = required_text(row, "instruction")
    given = optional_text(row, "input")
    question = f"{instruction}\n\n{given}" if given else instruction
    return _conversation(number, row, (Message("user", question), Message("assistant", answer_text(row, "output"))))


def _prompt_completion(number: int, row: Mapping[str, object]) -> Example:
    if isinstance(row.get("prompt"), list | tuple):
        asked = read_turns(row["prompt"], column="prompt", role_key="role", content_key="content")
    else:
        asked = (Message("user", required_text(row, "prompt")),)
    if isinstance(row.get("completion"), list | tuple):
        answered = read_turns(row["completion"], column="completion", role_key="role", content_key="content")
    else:
        answered = (Message("assistant", answer_text(row, "completion")),)
    return _conversation(number, row, asked + answered)


def _messages(number: int, row: Mapping[str, object]) -> Example:
    turns = read_turns(row.get("messages"), column="messages", role_key="role", content_key="content")
    return _conversation(number, row, turns)


def _sharegpt(number: int, row: Mapping[str, object]) -> Example:
    turns = read_turns(row.get("conversations"), column="conversations", role_key="from", content_key="value")
    return _conversation(number, row, turns)


def _conversation(number: int, row: Mapping[str, object], turns: tuple[Message, ...]) -> Example:
    """A checked conversation; a system turn of its own goes before the row's ``system``."""
    system = optional_text(row, "system")
    if system and not (turns and turns[0].role == "system"):
        turns = (Message("system", system), *turns)
    check_turns(turns)
    return Example(number, turns, tools=object_list(row.get("tools"), "column 'tools'"))


def _text(number: int, row: Mapping[str, object]) -> Example:
    return Example(number, text=required_text(row, "text"))


FORMATS = {
    form.name: form
    for form in (
        Format("messages", ("messages",), ("tools",), _messages),
        Format("sharegpt", ("conversations",), ("system", "tools"), _sharegpt),
        Format("alpaca", ("instruction", "output"), ("input", "system"), _alpaca),
        Format("prompt_completion", ("prompt", "completion"), ("system", "tools"), _prompt_completion),
        Format("text", ("text",), (), _text),
    )
}
"""By name, in the order of recognition."""


def choose_format(setting: str, available: Collection[str], mapping: Mapping[str, str], *, origin: str) -> Format:
    """Find the format of rows that have the columns `available`.

    Args:
        setting: a format's name, or ``auto``.
        available: columns of the first row, as the source calls them.
        mapping: format's column to source's column.
        origin: name of the source, for messages.

    Raises:
        DataError: a column is absent, or nothing (or more than one thing) is recognised; lists what there is.
    """
    place = f"{origin} row 1"
    unmapped = sorted(set(mapping.values()) - set(available))
    if unmapped:
        raise DataError(absent_columns(unmapped, available, place=place, fix="correct data.….columns"))
    named = set(available) | set(mapping)
    if setting != "auto":
        form = FORMATS[setting]
        absent = [column for column in form.needs if column not in named]
        if absent:
            fix = f"map your columns: columns: {{{absent[0]}: …}}, or set another format"
            raise DataError(absent_columns(absent, available, place=place, fix=fix))
        return _reading_all(form, mapping, place)
    fitting = [form for form in FORMATS.values() if set(form.needs) <= named]
    if len(fitting) == 1:
        return _reading_all(fitting[0], mapping, place)
    found = "fit several formats: " + ", ".join(f.name for f in fitting) if fitting else "fit no known format"
    raise DataError(
        Problem(
            code="data.unrecognised-format",
            message=f"the columns {found}",
            place=place,
            found=", ".join(map(str, available)) or "no columns",
            allowed="; ".join(f"{form.name}: {' + '.join(form.needs)}" for form in FORMATS.values()),
            fix="name it: format: alpaca, and map columns that are called otherwise: columns: {output: answer}",
        )
    )


def pick_columns(row: Row, form: Format, mapping: Mapping[str, str]) -> dict[str, object]:
    """The columns that `form` reads, under the format's names."""
    names = {column: mapping.get(column, column) for column in form.columns}
    return {column: row[name] for column, name in names.items() if name in row}


def absent_columns(columns: Collection[str], available: Collection[str], *, place: str, fix: str) -> Problem:
    """What is said of columns that a row should have and has not."""
    return Problem(
        code="data.column-absent",
        message=f"column(s) {', '.join(columns)} absent",
        place=place,
        found="available columns: " + ", ".join(map(str, available)),
        fix=fix,
    )


def _reading_all(form: Format, mapping: Mapping[str, str], place: str) -> Format:
    # A misspelt key of the mapping would otherwise leave its column out of every row without a word.
    strange = sorted(set(mapping) - set(form.columns))
    if not strange:
        return form
    raise DataError(
        Problem(
            code="data.column-absent",
            message=f"the format {form.name} reads no column {', '.join(strange)}",
            place=place,
            found=f"columns: {{{strange[0]}: {mapping[strange[0]]}}}",
            allowed=", ".join(form.columns),
            fix="correct the left side of data.….columns",
        )
    )
