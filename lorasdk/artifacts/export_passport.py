"""The passport of what was exported from an adapter: what it is, what it came from, and whether it says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lorasdk.artifacts.passport import (
    ADAPTER,
    Passport,
    PassportPart,
    VerificationPart,
    read_passport,
    read_passport_values,
    validated,
)


class MergingPart(PassportPart):
    """The full-precision weights that an adapter was merged into, and how far each choice is from what was trained."""

    base: Literal["original", "dequantised"]
    """The base model's own weights, or what the quantised ones of the training decode to."""
    distances: dict[str, float]
    """Mean KL divergence per position from the model that was trained and answers in memory, in nats, by choice."""
    largest_difference: float
    """Of the chosen one from that model: log-probability of any token at any position, in nats."""


class ExportPassport(PassportPart):
    """What an exported model or a converted adapter is, and what it came from."""

    format: Literal[1] = 1
    """Version of this file's format."""
    kind: Literal["merged", "gguf", "gguf-adapter"]
    """What lies in the folder."""
    created: str
    """UTC, ISO 8601."""
    dtype: str
    """Type of the weights that were written."""
    files: dict[str, str]
    """SHA-256 of every file but this one and `README.md`, by name."""
    verification: VerificationPart
    """What comparing it gave."""
    merging: MergingPart | None
    """What the adapter was merged into; null where nothing was merged."""
    adapter: Passport
    """The passport of the adapter, as it was."""
    versions: dict[str, str]
    """Versions of lorasdk, Python and the libraries that computed."""

    @property
    def of_adapter(self) -> Passport:
        """That of the adapter that the artefact was made from."""
        return self.adapter


def read_any_passport(folder: Path) -> Passport | ExportPassport:
    """Read the passport of an adapter folder, or of what was exported from one.

    Raises:
        AdapterError: there is no such folder or passport, or it is damaged or a link out of the folder.
    """
    value = read_passport_values(folder)
    return read_passport(folder) if value.get("kind", ADAPTER) == ADAPTER else validated(ExportPassport, value, folder)
