"""The base model with an adapter, and a workload's rows as tokens: what measurements inside one process begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.workloads import Row


def encoder_of(model: Path) -> Any:  # noqa: ANN401 - an `Encoder`, whose import is not light
    """The tokenizer with its own template."""
    from lorasdk.basemodel.tokenizer import load_tokenizer
    from lorasdk.data.encoding import Encoder
    from lorasdk.data.template import choose_template

    tokenizer = load_tokenizer(model)
    return Encoder.of(tokenizer, choose_template("auto", tokenizer))


def token_rows(rows: list[Row], model: Path) -> list:
    """Rows with the loss on their answers."""
    from lorasdk.contracts import Example, Message

    encoder = encoder_of(model)
    examples = [
        Example(i, (Message("user", row["prompt"]), Message("assistant", row["answer"])))
        for i, row in enumerate(rows, start=1)
    ]
    return [encoder.encode_example(example, train_on="all_turns", origin="train") for example in examples]


def tuned_model(model: Path, **lora: object) -> Any:  # noqa: ANN401 - a `PeftModel`
    """The base model in bfloat16 with a fresh adapter: rank 8 on `q_proj` and `v_proj` unless said otherwise."""
    import torch
    from transformers import AutoModelForCausalLM

    from lorasdk.engine.lora import attach_lora
    from lorasdk.recipe.schema import LoraSection

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).requires_grad_(requires_grad=False)
    section = LoraSection.model_validate({"rank": 8, "targets": ["q_proj", "v_proj"], **lora})
    return attach_lora(base, section, seed=0, batches=[])
