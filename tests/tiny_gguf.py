"""The tiny model of `tiny_model` as one GGUF file."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from tiny_model import CHAT_TEMPLATE, LAYERS, SPECIAL_TOKENS


def write_tiny_gguf(
    model_dir: Path, path: Path, *, matrices: str = "F16", leave_out: str = "", stretched: bool = False
) -> Path:
    """Write the model of `model_dir` to `path`, its matrices in the block type `matrices`, its vectors in F32."""
    config = json.loads((model_dir / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    if stretched:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    _add_tokenizer(writer, model_dir)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in load_file(model_dir / "model.safetensors").items():
        if name != leave_out:
            target = f"{names.get_name(name.removesuffix('.weight'))}.weight"
            _add_tensor(writer, target, _paired(tensor, heads.get(name.split(".")[-2])), matrices)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, model_dir: Path) -> None:
    model = json.loads((model_dir / "tokenizer.json").read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL_TOKENS else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)


def _paired(tensor: torch.Tensor, heads: int | None) -> np.ndarray:
    if heads is None:
        return tensor.float().numpy()
    rows, columns = tensor.shape
    # GGUF keeps the two halves of each rotary pair side by side.
    return tensor.float().reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns).numpy()


def _add_tensor(writer: gguf.GGUFWriter, target: str, values: np.ndarray, matrices: str) -> None:
    if values.ndim == 1:
        writer.add_tensor(target, values)
    elif matrices == "F16":
        writer.add_tensor(target, values.astype(np.float16))
    else:
        kind = gguf.GGMLQuantizationType[matrices]
        writer.add_tensor(target, gguf.quants.quantize(values, kind), raw_dtype=kind)
