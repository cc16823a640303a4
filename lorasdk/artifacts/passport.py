"""The passport, ``lorasdk.json``: what an adapter was made of, and the only base model and template it fits.

Pure data; reading one needs no torch.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lorasdk.basemodel.links import require_inside
from lorasdk.errors import AdapterError, Problem

FILE_NAME = "lorasdk.json"
MAX_BYTES = 8 * 1024 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BaseModelPart(_Part):
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


class TemplatePart(_Part):
    """The chat template the masks were made with."""

    sha256: str
    """Hash of its source."""
    origin: str
    """`tokenizer`, `bundled:NAME` or `file:NAME`."""


class SplitPart(_Part):
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


class TrainingPart(_Part):
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


class Passport(_Part):
    """Everything that must agree before the adapter may answer, and what it was made of."""

    format: Literal[1] = 1
    """Version of this file's format."""
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
    versions: dict[str, str]
    """Versions of lorasdk, Python and the libraries that computed."""


def read_passport(folder: Path) -> Passport:
    """Read the passport of an adapter folder.

    Raises:
        AdapterError: there is no such folder or passport, or it is damaged or a link out of the folder.
    """
    path = folder / FILE_NAME
    require_inside(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AdapterError(_damaged(path, "it is no file"))
        if status.st_size > MAX_BYTES:
            raise AdapterError(_damaged(path, f"it has more than {MAX_BYTES} bytes"))
        return Passport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AdapterError(
            Problem(
                code="adapter.missing",
                message="there is no adapter with a passport in this folder",
                place=str(folder.absolute()),
                found="no such folder" if not folder.is_dir() else f"no {FILE_NAME}",
                allowed=f"a folder with adapter_model.safetensors and {FILE_NAME}",
                fix="name the adapter_dir of a TrainResult, or train first: FineTuner.from_recipe(…).train()",
            )
        ) from error
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise AdapterError(_damaged(path, fields)) from error


def _damaged(path: Path, why: str) -> Problem:
    return Problem(
        code="adapter.damaged-passport",
        message=f"the passport cannot be read: {why}",
        place=str(path.absolute()),
        fix="restore the adapter folder from a copy, or train again",
    )
