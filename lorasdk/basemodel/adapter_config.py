"""Reads ``adapter_config.json`` and refuses what PEFT would import, misread or ignore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from peft import LoraConfig

from lorasdk.basemodel.json_file import read_json_object
from lorasdk.basemodel.links import require_inside
from lorasdk.errors import AdapterError, Problem

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CHANGES_BASE = ("pissa", "olora", "corda")
"""Initialisations that subtract what they take; training saves them as a difference, so that nothing need be taken."""
HARMLESS_CORES = (None, "megatron.core")
"""What PEFT itself writes as ``megatron_core``; it imports the module only when ``megatron_config`` is set."""


def read_adapter_config(adapter_dir: Path) -> dict[str, Any]:
    """Give the content of ``adapter_config.json``.

    Raises:
        AdapterError: it is absent or no JSON object, a link out of the folder, names modules to import, is not a LoRA
            adapter of a causal language model, changes the base model's layers, or uses settings that the installed
            PEFT does not know.
    """
    path = adapter_dir / CONFIG
    if not path.is_file():
        raise AdapterError(_no_adapter(adapter_dir))
    require_inside(path)
    require_inside(adapter_dir / WEIGHTS)
    config = read_json_object(path, error=AdapterError)
    problems = [
        *_imports(path, config),
        *_other_kind(path, config),
        *_other_layers(path, config),
        *_unknown_settings(path, config),
    ]
    if problems:
        raise AdapterError(*problems)
    return config


def _imports(path: Path, config: Mapping[str, Any]) -> list[Problem]:
    named = {key: config.get(key) for key in ("auto_mapping", "megatron_config") if config.get(key) is not None}
    if config.get("megatron_core") not in HARMLESS_CORES:
        named["megatron_core"] = config["megatron_core"]
    return [
        Problem(
            code="adapter.foreign-code",
            message="the adapter names Python modules to import, which a LoRA adapter never needs",
            place=str(path),
            field=key,
            found=str(value)[:80],
            allowed="null",
            fix="do not use an adapter you have no reason to trust; otherwise set the key to null",
        )
        for key, value in named.items()
    ]


def _other_kind(path: Path, config: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            code="adapter.not-lora",
            message="only LoRA adapters of causal language models can be used",
            place=str(path),
            field=key,
            found=repr(config.get(key)),
            allowed=", ".join(map(repr, allowed)),
            fix="use peft itself for this adapter",
        )
        for key, allowed in (("peft_type", ("LORA",)), ("task_type", ("CAUSAL_LM", None)))
        if config.get(key) not in allowed
    ]


def _other_layers(path: Path, config: Mapping[str, Any]) -> list[Problem]:
    init = config.get("init_lora_weights")
    # PEFT would take the matrices out of the base model's weights again, cut these, or copy its layers, any number of
    # them, and leave it so for whoever uses it next.
    named = {"init_lora_weights": init} if isinstance(init, str) and init.lower().startswith(CHANGES_BASE) else {}
    named |= {key: config[key] for key in ("kasa_config", "layer_replication") if config.get(key) is not None}
    return [
        Problem(
            code="adapter.changes-base",
            message="the adapter would change the base model in memory, which others may share",
            place=str(path),
            field=key,
            found=str(value)[:80],
            allowed="true, with the difference to the start as weights" if key == "init_lora_weights" else "null",
            fix="save it again with peft: save_pretrained(…, path_initial_model_for_weight_conversion=…)"
            if key == "init_lora_weights"
            else "use peft itself for this adapter",
        )
        for key, value in named.items()
    ]


def _unknown_settings(path: Path, config: Mapping[str, Any]) -> list[Problem]:
    known = {field.name for field in fields(LoraConfig)}
    # A newer PEFT writes its new settings in their neutral state too; only those in use change the result.
    used = sorted(key for key, value in config.items() if key not in known and value)
    if not used:
        return []
    return [
        Problem(
            code="adapter.unknown-settings",
            message="the adapter uses settings that the installed PEFT does not know and would ignore",
            place=str(path),
            found=", ".join(used),
            fix="upgrade peft to the version the adapter was saved with",
        )
    ]


def _no_adapter(adapter_dir: Path) -> Problem:
    return Problem(
        code="adapter.absent",
        message="the folder is no adapter" if adapter_dir.is_dir() else "there is no such folder",
        place=str(adapter_dir),
        allowed=f"a folder with {CONFIG} and {WEIGHTS}",
        fix="give the adapter folder that a training reported",
    )
