"""Looks at a model folder before any library does: what must be there, and what is refused.

Refused are code that comes with a model (unless the host trusts it), pickled weights, and damaged weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorasdk.basemodel.json_file import read_json_object
from lorasdk.basemodel.safetensors_header import read_stored_tensors
from lorasdk.errors import ModelError, Problem

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CONVERT = (
    'convert them once, in an environment you trust: python -c "from transformers import AutoModelForCausalLM as M; '
    "M.from_pretrained('FOLDER', use_safetensors=False).save_pretrained('FOLDER-safetensors')\""
)


def require_loadable(folder: Path, *, trust_remote_code: bool) -> dict[str, Any]:
    """Let a folder pass that transformers can load without running anything that came with it.

    Returns:
        The content of ``config.json``.

    Raises:
        ModelError: no configuration, no safetensors weights, damaged weights, an adapter instead of a model, weights
            that are quantised already, or code that is not trusted.
    """
    if not (folder / CONFIG).is_file():
        raise ModelError(_no_config(folder))
    config = read_json_object(folder / CONFIG, error=ModelError)
    problems = [*_is_adapter(folder), *_quantised_already(folder, config)]
    if not trust_remote_code:
        problems += foreign_code(folder / CONFIG, config)
    if problems:
        raise ModelError(*problems)
    for path in weight_files(folder):
        read_stored_tensors(path, error=ModelError)
    return config


def weight_files(folder: Path) -> tuple[Path, ...]:
    """List the safetensors files that make up a model, sorted.

    Raises:
        ModelError: there are none, or the index names files that are absent or outside the folder.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / INDEX).is_file():
        raise ModelError(_no_safetensors(folder))
    weight_map = read_json_object(folder / INDEX, error=ModelError).get("weight_map")
    names = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    absent = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if absent or not names:
        raise ModelError(_incomplete(folder / INDEX, absent))
    return tuple(folder / name for name in names)


def foreign_code(path: Path, content: object) -> list[Problem]:
    """Find, at any depth of a configuration, code that transformers would import from the model's files or a hub."""
    return [
        Problem(
            code="model.foreign-code",
            message="the model wants to run Python code that comes with it (auto_map)"
            if key == "auto_map"
            else "the model wants to run code of a hub's repository",
            place=str(path),
            field=key,
            found=str(value)[:80],
            fix="read that code; to run it, pass trust_remote_code=True from your program (a recipe cannot)",
        )
        for key, value in _entries(content)
        if key == "auto_map" or ("implementation" in key and isinstance(value, str) and "/" in value)
    ]


def _entries(content: object) -> Iterator[tuple[str, object]]:
    """Every key of a configuration with its value, at any depth, however deep that is."""
    rest = [content]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            yield from part.items()
            rest += part.values()
        elif isinstance(part, list):
            rest += part


def _no_config(folder: Path) -> Problem:
    what = "there is no such folder" if not folder.is_dir() else f"the folder has no {CONFIG}"
    return Problem(
        code="model.not-a-model-folder",
        message=f"{what}, so it is not a model in transformers' layout",
        place=str(folder),
        field="base_model.source",
        allowed=f"a folder with {CONFIG}, {WEIGHTS} and tokenizer.json",
        fix="correct the path; a single GGUF file is named with its .gguf ending",
    )


def _no_safetensors(folder: Path) -> Problem:
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    return Problem(
        code="model.pickled-weights" if pickled else "model.no-weights",
        message="the weights are pickled, which can run any code when they are read"
        if pickled
        else "the folder has no weights",
        place=str(folder),
        field="base_model.source",
        found=", ".join(pickled),
        allowed=f"{WEIGHTS}, or {INDEX} with its parts",
        fix=CONVERT if pickled else "fetch the model again",
    )


def _incomplete(index: Path, absent: list[str]) -> Problem:
    return Problem(
        code="model.incomplete-weights",
        message="the index names parts that are not in its folder" if absent else "the index names no parts",
        place=str(index),
        found=", ".join(absent),
        fix="fetch the missing parts again",
    )


def _is_adapter(folder: Path) -> list[Problem]:
    if not (folder / "adapter_config.json").is_file():
        return []
    # transformers would quietly load the model that the adapter names instead of the one in the folder.
    return [
        Problem(
            code="model.is-an-adapter",
            message="the folder holds an adapter, which cannot be the base model",
            place=str(folder),
            field="base_model.source",
            found="adapter_config.json",
            fix="name the adapter's own base model, or merge the adapter into it first",
        )
    ]


def _quantised_already(folder: Path, config: dict[str, Any]) -> list[Problem]:
    quantisation = config.get("quantization_config")
    if not quantisation:
        return []
    method = quantisation.get("quant_method") if isinstance(quantisation, dict) else quantisation
    return [
        Problem(
            code="model.quantised-already",
            message="the weights are quantised already",
            place=str(folder / CONFIG),
            field="quantization_config",
            found=str(method),
            fix="name the model's original weights, and quantise them with base_model.quantization",
        )
    ]
