"""The formats a row may have: which columns each needs, and how it becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lorasdk.contracts import Example, Message, Row
from lorasdk.data.conversation import ConversationFaultError, check_turns, read_turns, tools_of
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
    instruction = _required_text(row, "instruction")
    given = _optional_text(row, "input")
    question = f"{instruction}\n\n{given}" if given else instruction
    return _conversation(number, _optional_text(row, "system"), question, _answer(row, "output"))


def _prompt_completion(number: int, row: Mapping[str, object]) -> Example:
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, str):
        return _conversation(number, _optional_text(row, "system"), prompt, _answer(row, "completion"))
    turns = read_turns(prompt, column="prompt", role_key="role", content_key="content")
    if isinstance(completion, str):
        turns += (Message("assistant", completion),)
    else:
        turns += read_turns(completion, column="completion", role_key="role", content_key="content")
    check_turns(turns)
    return Example(number, turns, tools=tools_of(row.get("tools")))


def _messages(number: int, row: Mapping[str, object]) -> Example:
    turns = read_turns(row.get("messages"), column="messages", role_key="role", content_key="content")
    check_turns(turns)
    return Example(number, turns, tools=tools_of(row.get("tools")))


def _sharegpt(number: int, row: Mapping[str, object]) -> Example:
    turns = read_turns(row.get("conversations"), column="conversations", role_key="from", content_key="value")
    system = _optional_text(row, "system")
    if system and (not turns or turns[0].role != "system"):
        turns = (Message("system", system), *turns)
    check_turns(turns)
    return Example(number, turns, tools=tools_of(row.get("tools")))


def _text(number: int, row: Mapping[str, object]) -> Example:
    return Example(number, text=_required_text(row, "text"))


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
    unmapped = sorted(set(mapping.values()) - set(available))
    if unmapped:
        raise DataError(_absent(unmapped, available, origin, "correct data.….columns"))
    named = set(available) | set(mapping)
    if setting != "auto":
        absent = [column for column in FORMATS[setting].needs if column not in named]
        if absent:
            fix = f"map your columns: columns: {{{absent[0]}: …}}, or set another format"
            raise DataError(_absent(absent, available, origin, fix))
        return FORMATS[setting]
    fitting = [form for form in FORMATS.values() if set(form.needs) <= named]
    if len(fitting) == 1:
        return fitting[0]
    found = "fit several formats: " + ", ".join(f.name for f in fitting) if fitting else "fit no known format"
    raise DataError(
        Problem(
            code="data.unrecognised-format",
            message=f"the columns {found}",
            place=f"{origin} row 1",
            found=", ".join(available) or "no columns",
            allowed="; ".join(f"{form.name}: {' + '.join(form.needs)}" for form in FORMATS.values()),
            fix="name it: format: alpaca, and map columns that are called otherwise: columns: {output: answer}",
        )
    )


def pick_columns(row: Row, form: Format, mapping: Mapping[str, str]) -> dict[str, object]:
    """The columns that `form` reads, under the format's names."""
    names = {column: mapping.get(column, column) for column in form.columns}
    return {column: row[name] for column, name in names.items() if name in row}


def _absent(columns: Collection[str], available: Collection[str], origin: str, fix: str) -> Problem:
    return Problem(
        code="data.column-absent",
        message=f"column(s) {', '.join(columns)} absent",
        place=f"{origin} row 1",
        found="available columns: " + ", ".join(available),
        fix=fix,
    )


def _conversation(number: int, system: str, question: str, answer: str) -> Example:
    turns = (Message("user", question), Message("assistant", answer))
    return Example(number, (Message("system", system), *turns) if system else turns)


def _answer(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        found = "null" if value is None else "an empty text"
        raise ConversationFaultError(
            "data.empty-answer", f"{column!r} is empty", found=found, fix="fill or remove the row"
        )
    return _required_text(row, column)


def _required_text(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    kind = "an empty text" if isinstance(value, str) else type(value).__name__
    raise ConversationFaultError(
        "data.no-text",
        f"column {column!r} must hold a text",
        found=kind,
        allowed="a text",
        fix="fill or remove the row",
    )


def _optional_text(row: Mapping[str, object], column: str) -> str:
    return "" if row.get(column) in {None, ""} else _required_text(row, column)
