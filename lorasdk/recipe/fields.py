"""The kinds of values and sections that recipe fields are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Self, TypeAlias

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, SecretStr, Strict, model_validator

from lorasdk.recipe.rules import Breach, refuse

StrictBool: TypeAlias = Annotated[bool, Strict()]
Count: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=1_000_000_000)]
Finite: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
Share: TypeAlias = Annotated[Finite, Field(ge=0, lt=1)]
Seed: TypeAlias = Annotated[int, Strict(), Field(ge=0, lt=2**63)]
Text: TypeAlias = Annotated[str, Strict(), Field(min_length=1)]
Fraction: TypeAlias = Annotated[Finite, Field(gt=0, lt=1)]
FolderName: TypeAlias = Annotated[str, Strict(), Field(pattern=r"^\w[\w.-]{0,99}$", examples=["my-first"])]
Names: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1)]
Rank: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=4096)]
Alpha: TypeAlias = Annotated[Finite, Field(gt=0, le=1_000_000)]


class Section(BaseModel):
    """A closed, frozen part of a recipe."""

    # Inputs are hidden because pydantic's own messages would quote a secret that stands in the wrong place.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class OpenSection(BaseModel):
    """A frozen part of a recipe that also carries the options of a registered component."""

    model_config = ConfigDict(
        extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @property
    def options(self) -> dict[str, object]:
        """A copy of the keys that belong to the component, as written."""
        return deepcopy(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _options_are_data(self) -> Self:
        return refuse(
            self,
            *(
                Breach(
                    code="recipe.option-not-data",
                    message="an option must be plain data that JSON can hold",
                    fields=((key,),),
                    allowed="text, numbers, true, false, null, and lists and mappings of them",
                )
                for key, value in (self.__pydantic_extra__ or {}).items()
                if not isinstance(value, SecretStr) and not _is_data(value)
            ),
        )


def _is_data(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_data(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_data(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
