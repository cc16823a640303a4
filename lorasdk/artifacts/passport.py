"""The passport, ``lorasdk.json``: what an adapter was made of, and the only base model and template it fits.

Pure data; reading one needs no torch.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from lorasdk.basemodel.links import require_inside
from lorasdk.errors import AdapterError, Problem

FILE_NAME = "lorasdk.json"
MAX_BYTES = 8 * 1024 * 1024
ADAPTER = "adapter"
"""The kind of a passport that names none: earlier releases wrote adapters only."""
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
Part = TypeVar("Part", bound=BaseModel)


class PassportPart(BaseModel):
    """Closed and frozen, as everything in a passport is."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BaseModelPart(PassportPart):
    """Which base model the adapter belongs to."""

    source: str
    """`base_model.source` of the recipe."""
    identity: str
    """Portable name: `hub:…`, `package:…`, `folder:…` or `gguf:…`."""
    revision: str | None
    """Exact revision, where the source has one."""
    fingerprint: str
    """SHA-256 over the names, shapes and bytes of its weights."""
    quantization: str
    """How the weights were held during training."""
    dtype: str
    """What they computed in."""


class TemplatePart(PassportPart):
    """The chat template the masks were made with."""

    sha256: str
    """Hash of its source."""
    origin: str
    """`tokenizer`, `bundled:NAME` or `file:NAME`."""


class SplitPart(PassportPart):
    """One split of the data."""

    sha256: str
    """Hash of the rows as they were used, in order."""
    rows: int
    """Rows used."""
    skipped: int
    """Rows left out by the recipe's policies."""
    tokens: int
    """Tokens of the rows used."""
    supervised_tokens: int
    """Tokens the loss was taken on."""


class TrainingPart(PassportPart):
    """How the training went."""

    steps: int
    """Optimizer steps taken."""
    saved_step: int
    """The step whose weights are in the folder."""
    stopped: str
    """`finished`, `early_stopping` or `requested`."""
    loss: float | None
    """Mean training loss over the last tenth of the steps, nats per supervised token; null when no step was taken."""
    validation: dict[str, float]
    """Metrics of the last validation; empty without one."""
    tokens: int
    """Tokens trained on."""
    seconds: float
    """Duration."""
    peak_memory_bytes: int
    """Highest memory use after a forward pass."""
    trainable_parameters: int
    """Parameters trained."""
    total_parameters: int
    """Parameters of base model and adapter."""
    trainable_share: float
    """The one divided by the other."""
    resumed_at: tuple[int, ...] = ()
    """Steps at which the run was taken up again."""
    changes: tuple[str, ...] = ()
    """What differed then: fields that the caller allowed to change, and properties of the machine."""
    bit_exact: bool = True
    """Whether the same recipe ends with these bits on the same machine: nothing differed."""


class VerificationPart(PassportPart):
    """Whether the artefact, read back from the disk, answers like the model that it was written from."""

    verdict: Literal["same", "differs", "not-verified"]
    """`same`: within the tolerance; `differs`: kept, as was asked, although it is not; `not-verified`: not compared."""
    reason: str = ""
    """Why it was not compared."""
    prompts: int = 0
    """Fixed prompts that were compared on."""
    rows: int = 0
    """Test rows that were."""
    positions: int = 0
    """Positions of both, at each of which all tokens were compared."""
    dtype: str = ""
    """Type that both were computed in."""
    largest_difference: float | None = None
    """Of the log-probability of any token at any position, in nats."""
    tolerance: float | None = None
    """Largest difference that passes as the same."""


class Passport(PassportPart):
    """Everything that must agree before the adapter may answer, and what it was made of."""

    format: Literal[1] = 1
    """Version of this file's format."""
    kind: Literal["adapter"] = "adapter"
    """What lies in the folder; other kinds have an `ExportPassport`."""
    created: str
    """UTC, ISO 8601."""
    recipe: dict[str, Any]
    """The recipe's values, without secrets."""
    recipe_fingerprint: str
    """`Recipe.fingerprint`."""
    base_model: BaseModelPart
    """The base model."""
    template: TemplatePart
    """The chat template."""
    data: dict[str, SplitPart]
    """The splits by name."""
    training: TrainingPart
    """The run."""
    adapter_sha256: str
    """SHA-256 of `adapter_model.safetensors`."""
    files: dict[str, str] = {}
    """SHA-256 of the other files that decide what the adapter answers, and of what it was compared with, by name."""
    verification: VerificationPart | None = None
    """What comparing it gave; null in passports of releases that did not compare."""
    versions: dict[str, str]
    """Versions of lorasdk, Python and the libraries that computed."""

    @property
    def of_adapter(self) -> Passport:
        """The adapter's: this one."""
        return self


def read_passport(folder: Path) -> Passport:
    """Read the passport of an adapter folder.

    Raises:
        AdapterError: there is no such folder or passport, it is that of an export, it is damaged, or a link out of the
            folder.
    """
    value = read_passport_values(folder)
    if value.get("kind", ADAPTER) != ADAPTER:
        raise AdapterError(_no_adapter(folder, str(value["kind"])))
    return validated(Passport, value, folder)


def read_passport_values(folder: Path) -> dict[str, Any]:
    """Read what the passport of a folder says, of whatever kind it is.

    Raises:
        AdapterError: there is none, or it is no JSON object or a link out of the folder.
    """
    path = folder / FILE_NAME
    require_inside(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AdapterError(_damaged(path, "it is no file"))
        if status.st_size > MAX_BYTES:
            raise AdapterError(_damaged(path, f"it has more than {MAX_BYTES} bytes"))
        return _OBJECT.validate_json(path.read_bytes())
    except OSError as error:
        raise AdapterError(_missing(folder)) from error
    except ValidationError as error:
        raise AdapterError(_damaged(path, _told(error))) from error


def validated(kind: type[Part], value: dict[str, Any], folder: Path) -> Part:
    """Make a passport of what was read.

    Raises:
        AdapterError: it is not of this kind.
    """
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise AdapterError(_damaged(folder / FILE_NAME, _told(error))) from error


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])


def _missing(folder: Path) -> Problem:
    return Problem(
        code="adapter.missing",
        message="there is no adapter with a passport in this folder",
        place=str(folder.absolute()),
        found="no such folder" if not folder.is_dir() else f"no {FILE_NAME}",
        allowed=f"a folder with adapter_model.safetensors and {FILE_NAME}",
        fix="name the adapter_dir of a TrainResult, or train first: FineTuner.from_recipe(…).train()",
    )


def _no_adapter(folder: Path, kind: str) -> Problem:
    return Problem(
        code="adapter.is-an-export",
        message="the folder holds what was exported from an adapter, not the adapter",
        place=str(folder.absolute()),
        found=kind,
        allowed=ADAPTER,
        fix="name the adapter's own folder; a merged model may be the base_model.source of a recipe",
    )


def _damaged(path: Path, why: str) -> Problem:
    return Problem(
        code="adapter.damaged-passport",
        message=f"the passport cannot be read: {why}",
        place=str(path.absolute()),
        fix="restore the adapter folder from a copy, or train again",
    )
