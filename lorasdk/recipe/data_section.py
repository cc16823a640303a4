"""The recipe's ``data``: sources, held-out parts, and the short forms of both."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from lorasdk.recipe.fields import Count, Fraction, OpenSection, Section, Text
from lorasdk.recipe.rules import refuse, split_breaches


class Split(Section):
    """Rows held out of the training source, chosen by a seeded shuffle."""

    fraction: Fraction | None = None
    """Share of the rows, between 0 and 1; give this or `rows`."""
    rows: Count | None = None
    """Number of rows; give this or `fraction`."""

    @model_validator(mode="after")
    def _says_how_much_once(self) -> Self:
        return refuse(self, *split_breaches(fraction=self.fraction, rows=self.rows))


class DataSource(OpenSection):
    """Rows from a registered loader, and how to read them as examples."""

    loader: Text = "file"
    """Name of a registered data loader; the keys below that are not listed here are its options."""
    format: Literal["auto", "alpaca", "messages", "sharegpt", "prompt_completion", "text"] = "auto"
    """How a row becomes a conversation; `auto` recognises it by its columns."""
    columns: dict[Text, Text] = Field(default_factory=dict)
    """Column mapping: the format's column name to the column of the source, such as `{output: answer}`."""
    max_rows: Count | None = None
    """Use only this many rows, from the start."""


PathText: TypeAlias = Annotated[Text, Field(description="Path of a file: short for `{loader: file, path: …}`.")]
PartOfTrain: TypeAlias = Annotated[Fraction, Field(description="Share of the training rows.")]
RowsOfTrain: TypeAlias = Annotated[Count, Field(description="Number of training rows.")]


def _source(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _held_out(value: object) -> object:
    if isinstance(value, float):
        return {"fraction": value}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"rows": value}
    return _source(value)


def _source_or_split(value: object) -> str | None:
    # Told apart before validation, so that errors speak only about the one that was meant.
    if isinstance(value, dict):
        is_split = {"fraction", "rows"} & value.keys() and not {"path", "loader"} & value.keys()
        return "<split>" if is_split else "<source>"
    return "<split>" if isinstance(value, Split) else "<source>" if isinstance(value, DataSource) else None


Source: TypeAlias = Annotated[DataSource, BeforeValidator(_source, json_schema_input_type=PathText | DataSource)]
HeldOut: TypeAlias = Annotated[
    Annotated[
        Annotated[DataSource, Tag("<source>")] | Annotated[Split, Tag("<split>")], Discriminator(_source_or_split)
    ],
    BeforeValidator(_held_out, json_schema_input_type=PathText | PartOfTrain | RowsOfTrain | DataSource | Split),
]


class DataSection(Section):
    """Where the rows come from and what is done with difficult ones."""

    train: Source | None = None
    """Training rows; a plain string is short for `{loader: file, path: …}`. Left out when the application hands rows
    over in memory."""
    validation: HeldOut | None = None
    """Rows measured during training: a source, or a share (`0.1`) or number (`50`) of the training rows."""
    test: HeldOut | None = None
    """Rows for base against tuned at the end: a source, or a share or number of the training rows."""
    max_tokens: Count = 2048
    """Longest row, in tokens."""
    too_long: Literal["error", "drop", "truncate"] = "error"
    """What to do with a row of more than `max_tokens`; `truncate` cuts its end."""
    on_bad_row: Literal["error", "skip"] = "error"
    """What to do with a row that cannot be read or has no answer; `skip` leaves it out and counts it."""
    train_on: Literal["all_turns", "last_turn"] = "all_turns"
    """Which assistant turns the loss is taken on; `last_turn` suits templates that rewrite earlier turns."""
