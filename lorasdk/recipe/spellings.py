"""What other tools call the same things, so that a recipe written from memory gets a useful answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

ELSEWHERE = {
    "<<": "the merged keys, written out (YAML 1.2 has no merge keys)",
    "r": "lora.rank",
    "lora_r": "lora.rank",
    "lora_rank": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "target_modules": "lora.targets",
    "exclude_modules": "lora.targets, as a regular expression",
    "lora_target": "lora.targets",
    "lora_target_modules": "lora.targets",
    "layers_to_transform": "lora.layers",
    "use_rslora": "lora.rslora",
    "use_dora": "lora.dora",
    "init_lora_weights": "lora.init",
    "model": "base_model.source",
    "model_name": "base_model.source",
    "model_name_or_path": "base_model.source",
    "model_id": "base_model.source",
    "load_in_4bit": "base_model.quantization: nf4",
    "load_in_8bit": "base_model.quantization: int8",
    "bnb_4bit_quant_type": "base_model.quantization",
    "quantization_bit": "base_model.quantization",
    "bnb_4bit_use_double_quant": "base_model.double_quantization",
    "hf_token": "base_model.token",
    "use_auth_token": "base_model.token",
    "torch_dtype": "base_model.dtype",
    "bf16": "base_model.dtype: bfloat16",
    "fp16": "base_model.dtype: float16",
    "trust_remote_code": "an argument of FineTuner.from_recipe: a recipe cannot allow code",
    "dataset": "data.train",
    "datasets": "data.train",
    "train_file": "data.train",
    "validation_file": "data.validation",
    "val_size": "data.validation",
    "val_set_size": "data.validation",
    "test_file": "data.test",
    "cutoff_len": "data.max_tokens",
    "max_length": "data.max_tokens",
    "max_seq_length": "data.max_tokens",
    "sequence_len": "data.max_tokens",
    "template": "base_model.chat_template",
    "num_train_epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "per_device_train_batch_size": "training.micro_batch (and training.batch_size for the whole step)",
    "micro_batch_size": "training.micro_batch",
    "gradient_accumulation_steps": "training.batch_size divided by training.micro_batch",
    "train_batch_size": "training.batch_size",
    "lr": "training.learning_rate",
    "lr_scheduler": "training.schedule",
    "lr_scheduler_type": "training.schedule",
    "warmup_ratio": "training.warmup",
    "warmup_steps": "training.warmup, a share of all steps",
    "max_norm": "training.max_grad_norm",
    "eval_steps": "training.eval_every_steps",
    "load_best_model_at_end": "training.keep: best",
    "metric_for_best_model": "training.metric",
    "early_stopping_patience": "training.early_stopping.patience",
    "max_tokens": "generation.max_new_tokens (answers) or data.max_tokens (rows)",
    "output": "output_dir",
}
"""Key elsewhere to where this recipe says it."""


BIT_FLAGS = ("load_in_4bit", "load_in_8bit")
"""Flags elsewhere that a recipe says as one field."""


def suggest(key: str, allowed: Sequence[str], *, section: str, homes: Mapping[str, str]) -> str:
    """One line that says what to write instead of `key`.

    Args:
        key: the key that is not allowed.
        allowed: the keys that are.
        section: dotted path of the mapping that `key` stands in; empty for the whole recipe.
        homes: key to where in a recipe it belongs.
    """
    if key in ELSEWHERE:
        home = ELSEWHERE[key]
        own = home.removeprefix(f"{section}.") if section else home
        return f"write {own}" if own != home else f"a recipe says it as {home}"
    close = get_close_matches(key, allowed, n=1, cutoff=0.8)
    near = get_close_matches(key, allowed, n=1)
    if not close and key in homes:
        return f"it belongs to {homes[key]}" + (f"; or did you mean {near[0]!r}?" if near else "")
    close = close or near
    if close:
        return f"did you mean {close[0]!r}?"
    far = get_close_matches(key, homes, n=1, cutoff=0.8)
    return f"did you mean {homes[far[0]]}?" if far else "delete the key"
