"""Says which architectures can be written as GGUF, and refuses the rest by name before any heavy work.

An architecture is here once its files were read back by transformers and answered in llama.cpp as the model does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.basemodel.rotary_scaling import rotary_scaling
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from transformers import PretrainedConfig

ROPE_TYPES = ("default", "llama3")


@dataclass(frozen=True, slots=True)
class Architecture:
    """How llama.cpp knows a family of models."""

    name: str
    """``general.architecture`` of its files."""
    paired: bool
    """Whether the file keeps the two halves of each rotary pair side by side, in the rows of queries and keys."""
    lacking: tuple[str, ...] = ()
    """Switches of transformers' configuration that transformers cannot read back from such a file."""


LLAMA = Architecture("llama", paired=True, lacking=("attention_bias", "mlp_bias"))
ARCHITECTURES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": Architecture("qwen2", paired=False),
    "qwen3": Architecture("qwen3", paired=False, lacking=("attention_bias",)),
}
"""By transformers' ``model_type``."""


def require_exportable(config: PretrainedConfig, source: Path | None) -> None:
    """Let a base model pass that can be written as GGUF.

    Args:
        config: of the base model.
        source: the GGUF file that the base model came as, if it did.

    Raises:
        AdapterError: its architecture is none of the supported ones, or a setting of it cannot be written.
    """
    architecture = architecture_of(config)
    problems = _settings(config, architecture) if source is None else _stretched(source)
    if problems:
        raise AdapterError(*problems)


def architecture_of(config: PretrainedConfig) -> Architecture:
    """The architecture of a model.

    Raises:
        AdapterError: it is none of the supported ones.
    """
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise AdapterError(_unsupported(config.model_type))
    return architecture


def rope_of(config: PretrainedConfig) -> dict[str, float | str]:
    """Transformers' rotary settings: ``rope_type``, ``rope_theta`` and what the type needs."""
    return dict(config.to_dict()["rope_parameters"])


def _settings(config: PretrainedConfig, architecture: Architecture) -> list[Problem]:
    values = config.to_dict()
    problems = [_setting(name, "true", "false") for name in architecture.lacking if values.get(name)]
    rope = rope_of(config)
    if rope["rope_type"] not in ROPE_TYPES:
        problems.append(_setting("rope_parameters.rope_type", str(rope["rope_type"]), ", ".join(ROPE_TYPES)))
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        problems.append(_setting("partial_rotary_factor", str(rope["partial_rotary_factor"]), "1"))
    if values["hidden_act"] != "silu":
        problems.append(_setting("hidden_act", str(values["hidden_act"]), "silu"))
    if values.get("use_sliding_window") and values.get("sliding_window"):
        problems.append(_setting("use_sliding_window", "true", "false"))
    return problems


def _stretched(source: Path) -> list[Problem]:
    """A file that stretches rotary positions is another model in llama.cpp than the one that transformers read."""
    from gguf import GGUFReader

    reader = GGUFReader(source)
    found = rotary_scaling(reader)
    if not found:
        return []
    return [
        Problem(
            code="export.unsupported-setting",
            message="the base model's GGUF stretches rotary positions, which transformers does not read: the model "
            "that was trained and measured is not the one that llama.cpp would run",
            place=str(source),
            field="base_model.source",
            found=found,
            allowed="a GGUF without it",
            fix="train on the model's original safetensors weights",
        )
    ]


def _unsupported(model_type: str) -> Problem:
    return Problem(
        code="export.unsupported-architecture",
        message=f"models of the architecture {model_type!r} are not written as GGUF",
        field="format",
        found=model_type,
        allowed=", ".join(ARCHITECTURES),
        fix='export with format="merged", and convert that folder with llama.cpp\'s own script',
    )


def _setting(name: str, found: str, allowed: str) -> Problem:
    return Problem(
        code="export.unsupported-setting",
        message=f"a GGUF file of this architecture cannot say the base model's {name}, or cannot be read back with it",
        field=name,
        found=found,
        allowed=allowed,
        fix='export with format="merged"',
    )
