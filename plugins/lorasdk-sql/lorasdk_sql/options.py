"""What a recipe may say to the loader `sql`."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    field_validator,
    model_validator,
)

Text: TypeAlias = Annotated[str, Strict(), Field(min_length=1)]
Name: TypeAlias = Annotated[str, Strict(), Field(pattern=r"^\w+$")]
Seconds: TypeAlias = Annotated[float, Strict(), AllowInfNan(False), Field(gt=0, le=86_400)]
PlainValue: TypeAlias = (
    Annotated[str, Strict()]
    | Annotated[bool, Strict()]
    | Annotated[int, Strict()]
    | Annotated[float, Strict(), AllowInfNan(False)]
    | None
)


def _storable(value: object) -> object:
    # Drivers fail with an error that says nothing of the parameter.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits, which no database takes")
    return value


Scalar: TypeAlias = Annotated[PlainValue, AfterValidator(_storable)]
Parameter: TypeAlias = Scalar | tuple[Scalar, ...]


class SqlOptions(BaseModel):
    """Options of the loader `sql`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    url: SecretStr | None = None
    """SQLAlchemy's URL of the database, written as `${env:DB_URL}` since it may hold a password; give this or
    `path`."""
    path: Text | None = None
    """Path of an SQLite file, relative to the recipe's folder; give this or `url`."""
    query: Text
    """One statement that reads rows in a stable order, with `:name` for each bound parameter."""
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    """Values of the bound parameters by name: a text, a number, true, false, null, or a list of them for `IN :name`."""
    fetch_size: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] = 1000
    """Rows per round trip to the database; no more than two such lots are in memory, however many rows there are."""
    timeout: Seconds = 60.0
    """Seconds to wait for the connection, and for each answer of the database, where its driver can limit them."""

    @field_validator("url", "path")
    @classmethod
    def _is_given(cls, value: object) -> object:
        # Also what becomes of a URL that could not be read: then that is the problem, and not a database too few.
        if value is None:
            raise ValueError("null names no database; leave the option out")
        return value

    @model_validator(mode="after")
    def _names_one_database(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give url or path: one of the two, and not both")
        return self
