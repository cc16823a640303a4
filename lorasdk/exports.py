"""What is asked of an export, and what it and a later verification give: frozen, and light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from lorasdk.contracts import Example
from lorasdk.events import Emit

OnDifference: TypeAlias = Literal["refuse", "label"]
"""What happens to an artefact that does not answer like the model it was made from."""
Format: TypeAlias = Literal["merged", "adapter", "gguf", "gguf-adapter"]
"""What an adapter can be exported as."""


@dataclass(frozen=True)
class ExportOptions:
    """How an artefact is wanted."""

    format: str = "merged"
    """A `Format`."""
    dtype: str | None = None
    """Type of the written weights; the format's own choice when not given."""
    overwrite: bool = False
    """Whether it may take the place of an artefact that is there."""
    on_difference: OnDifference = "refuse"
    """Whether one that answers otherwise is refused, or kept and labelled."""


@dataclass(frozen=True)
class ExportOrder:
    """One export that is wanted."""

    adapter_dir: Path
    folder: Path
    options: ExportOptions
    test_rows: Callable[[], Sequence[Example]]
    """Some of them are what the artefact is compared on; empty when they are not at hand."""
    attach: Callable[[], object]
    """Gives the bench with the adapter on it, which has proved to fit; called after all cheap refusals."""
    emit: Emit


@dataclass(frozen=True, slots=True)
class ExportResult:
    """An artefact on the disk, and how it compares with the model that it was made from.

    It can stand wherever a path can.
    """

    folder: Path
    """Everything that was written."""
    format: str
    """``merged``, ``adapter``, ``gguf`` or ``gguf-adapter``."""
    dtype: str
    """Type of the weights that were written."""
    files: tuple[str, ...]
    """Names of the files in the folder."""
    verdict: Literal["same", "differs"]
    """``differs`` only where that was to be kept and labelled."""
    largest_difference: float
    """Of the log-probability of any token at any position, in nats."""
    tolerance: float
    """Largest difference that passes as the same, in nats."""
    prompts: int
    """Fixed prompts that were compared on."""
    rows: int
    """Test rows that were."""
    base: Literal["original", "dequantised"] | None = None
    """Which weights the adapter was merged into; None where nothing was merged."""
    distances: Mapping[str, float] | None = None
    """How far each choice of base is from the model that was trained: mean KL divergence per position, in nats."""

    def __fspath__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What checking an artefact found. There is one only where nothing was wrong: what is wrong is raised."""

    folder: Path
    """The artefact."""
    kind: str
    """``adapter``, ``merged``, ``gguf`` or ``gguf-adapter``."""
    verdict: Literal["same", "labelled", "no-record"]
    """``same``: it answers as was recorded; ``labelled``: as far from that as its passport admits; ``no-record``:
    nothing was recorded, so that only hashes, base model and template were compared."""
    files: tuple[str, ...]
    """Files whose hashes are those of the passport."""
    dtype: str = ""
    """Type that answers were computed in; empty where none were."""
    prompts: int = 0
    """Fixed prompts that it was asked."""
    rows: int = 0
    """Test rows that it was asked, where they are at hand."""
    largest_difference: float | None = None
    """From what was recorded: log-probabilities of the likeliest tokens, in nats; None without a record."""
    tolerance: float | None = None
    """Largest difference that passes, in nats."""
