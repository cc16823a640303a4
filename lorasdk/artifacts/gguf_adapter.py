"""Writes a LoRA adapter in llama.cpp's adapter format, and reads one back onto a base model.

What the format can say is ``alpha / rank * B @ A`` on linear layers, alpha being one number of the file and rank that
of each pair. What else scales a layer is folded into its B.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from gguf import GGUFReader, GGUFWriter, Keys
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict

from lorasdk.artifacts.gguf_adapter_pairs import Pair, pairs_of
from lorasdk.artifacts.gguf_file import PlannedTensor, planned, write_file
from lorasdk.artifacts.gguf_layout import Layout
from lorasdk.artifacts.gguf_values import decoded, type_named
from lorasdk.basemodel.adapter_reading import read_adapter
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType
    from transformers import PreTrainedModel

PREFIX = "base_model.model."


def write_gguf_adapter(adapter_dir: Path, model: PreTrainedModel, folder: Path, *, dtype: str, name: str) -> Path:
    """Write ``<name>-<dtype>.gguf``, an adapter for llama.cpp, into a folder.

    Args:
        adapter_dir: a PEFT adapter folder.
        model: the base model, of which only the configuration and the names of the layers are read.
        folder: exists.
        dtype: ``f32``, ``f16``, ``bf16`` or ``q8_0``: the number format of the matrices.
        name: of the adapter.

    Returns:
        The GGUF file.

    Raises:
        AdapterError: the adapter does more than the format can say, the architecture or `dtype` is not supported, or
            the adapter cannot be read.
        OSError: the disk refuses.
    """
    layout = Layout.of(model.config)
    kind = type_named(dtype)
    config, weights = read_adapter(adapter_dir, trainable=False)
    pairs = pairs_of(config, weights, model.config, place=adapter_dir)
    alpha = float(config.lora_alpha) or 1.0
    path = folder / f"{name}-{dtype}.gguf"
    writer = GGUFWriter(None, layout.architecture.name)
    writer.add_type("adapter")
    writer.add_name(name)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
    write_file(path, writer, [tensor for pair in pairs for tensor in _tensors(pair, layout, kind, alpha)])
    return path


def load_gguf_adapter(path: Path, model: PreTrainedModel) -> PeftModel:
    """Put the adapter of a GGUF file onto a base model, in evaluation mode.

    Args:
        path: what `write_gguf_adapter` wrote.
        model: the base model, without adapter; changed in place.

    Raises:
        AdapterError: the file is no such adapter, or it fits another base model.
    """
    with quiet(), scoped_random(model.device):
        try:
            reader = GGUFReader(path)
            alpha = float(reader.fields[Keys.Adapter.LORA_ALPHA].contents())
            weights = dict(_weights(model, reader))
            return _attached(model, weights, alpha).eval()
        except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
            raise AdapterError(_unreadable(path, error)) from error


def _tensors(pair: Pair, layout: Layout, kind: GGMLQuantizationType, alpha: float) -> Iterator[PlannedTensor]:
    target = layout.file_name(f"{pair.layer}.weight")
    folded = pair.scale * pair.rank / alpha
    yield planned(f"{target}.lora_a", pair.a.shape, kind, lambda: pair.a)
    yield planned(f"{target}.lora_b", pair.b.shape, kind, lambda: layout.to_file(pair.layer, pair.b.float() * folded))


def _weights(model: PreTrainedModel, reader: GGUFReader) -> Iterator[tuple[str, torch.Tensor]]:
    """The file's matrices under PEFT's names."""
    layout = Layout.of(model.config)
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    targets = {layout.file_name(f"{layer}.weight"): layer for layer in layers}
    for tensor in reader.tensors:
        target, _, side = tensor.name.rpartition(".lora_")
        layer = targets[target]
        values = decoded(tensor)
        yield (
            f"{PREFIX}{layer}.lora_{side.upper()}.weight",
            layout.from_file(layer, values) if side == "b" else values,
        )


def _attached(model: PreTrainedModel, weights: Mapping[str, torch.Tensor], alpha: float) -> PeftModel:
    suffix = ".lora_A.weight"
    layers = {key.removeprefix(PREFIX).removesuffix(suffix): key for key in weights if key.endswith(suffix)}
    ranks = {layer: weights[key].shape[0] for layer, key in layers.items()}
    config = LoraConfig(
        r=max(ranks.values()), lora_alpha=alpha, target_modules=list(ranks), rank_pattern=ranks, inference_mode=True
    )
    attached = get_peft_model(model, config)
    result = set_peft_model_state_dict(attached, dict(weights))
    missing = [key for key in result.missing_keys if ".lora_" in key]
    if missing or result.unexpected_keys:
        raise ValueError(f"the file has no {', '.join(missing) or 'place for ' + ', '.join(result.unexpected_keys)}")
    return attached


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        code="export.unreadable",
        message=f"this GGUF file is no adapter for this base model: {error}",
        place=str(path),
        fix="export again",
    )
