"""The formats that an adapter can be exported in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lorasdk.artifacts.adapter_format import AdapterFormat
from lorasdk.artifacts.exportable import ExportFormat
from lorasdk.artifacts.gguf_formats import GgufAdapterFormat, GgufFormat
from lorasdk.artifacts.merged_format import MergedFormat
from lorasdk.errors import InferenceError, Problem

_ALL: tuple[ExportFormat, ...] = (MergedFormat(), AdapterFormat(), GgufFormat(), GgufAdapterFormat())
EXPORT_FORMATS: Mapping[str, ExportFormat] = MappingProxyType({each.name: each for each in _ALL})
"""By the names that callers use."""


def format_and_dtype(name: str, dtype: str | None) -> tuple[ExportFormat, str]:
    """Find a format, and the type to write.

    Raises:
        InferenceError: there is no such format, or it has no such type.
    """
    found = EXPORT_FORMATS.get(name)
    if found is None:
        raise InferenceError(_unknown("format", name, tuple(EXPORT_FORMATS)))
    if dtype is not None and dtype not in found.dtypes:
        raise InferenceError(_unknown("dtype", dtype, found.dtypes))
    return found, dtype or found.dtypes[0]


def _unknown(field: str, value: str, known: tuple[str, ...]) -> Problem:
    return Problem(
        code=f"export.unknown-{field}",
        message=f"an export has no {field} {value!r}",
        field=field,
        found=repr(value),
        allowed=", ".join(known),
        fix="choose one of those that are allowed",
    )
