"""A base model is handed on only if it is what it was when it was loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import load_tiny
from torch import nn

from lorasdk.basemodel.lent_base import BaseLoan, facts_of
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.engine.lora import attach_lora
from lorasdk.recipe.schema import LoraSection


def lent_again(folder: Path, change: Callable[[LoadedBase], object]) -> tuple[LoadedBase, LoadedBase]:
    """What a loan gives before and after somebody did something to it."""
    loan = BaseLoan()

    def lend() -> LoadedBase:
        return loan.lend(first.located, lambda: load_tiny(folder))

    first = load_tiny(folder)
    lent = loan.lend(first.located, lambda: first)
    change(lent)
    loan.give_back(lent)
    return lent, lend()


def adapted(base: LoadedBase) -> None:
    section = LoraSection(rank=2, dropout=0.1, modules_to_save=("norm",), targets="all-linear")
    attach_lora(base.model, section, seed=0, batches=[])


def test_a_base_that_carried_an_adapter_is_lent_again_and_took_no_time(tiny_model_dir: Path):
    before, after = lent_again(tiny_model_dir, adapted)
    assert after == replace(before, seconds=0.0)
    assert after.model is before.model


def flip_a_bit(base: LoadedBase) -> None:
    base.model.model.layers[1].mlp.down_proj.weight.data.view(torch.int32)[3, 5] ^= 1


def other_layer(base: LoadedBase) -> None:
    base.model.model.layers[0].mlp.act_fn = nn.ReLU()


def hook(base: LoadedBase) -> None:
    base.model.model.norm.register_forward_hook(lambda *_given: None)


def train_mode(base: LoadedBase) -> None:
    base.model.train()


@pytest.mark.parametrize("change", [flip_a_bit, other_layer, hook, train_mode])
def test_a_base_that_was_changed_is_loaded_anew(tiny_model_dir: Path, change):
    before, after = lent_again(tiny_model_dir, change)
    assert after.model is not before.model
    assert after.seconds > 0


def test_other_files_are_another_base(tiny_model_dir: Path):
    base, loan = load_tiny(tiny_model_dir), BaseLoan()
    loan.give_back(loan.lend(base.located, lambda: base))
    other = replace(base.located, revision="b")
    assert loan.lend(other, lambda: load_tiny(tiny_model_dir)).model is not base.model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.bool])
def test_every_bit_of_any_tensor_counts(dtype: torch.dtype):
    """Also of those whose bytes are no whole words, and of slices that begin between two."""
    whole = torch.zeros(29, dtype=dtype)
    for start, end in ((0, 29), (1, 24), (3, 3), (28, 29)):
        module = nn.Module()
        module.register_buffer("part", whole[start:end])
        before = facts_of(module)
        for place in range(start, end):
            whole[place] = 1
            assert facts_of(module) != before
            whole[place] = 0
        assert facts_of(module) == before


def test_a_single_number_has_bits_too():
    module = nn.Module()
    module.register_buffer("scale", torch.tensor(1.0))
    before = facts_of(module)
    module.scale.add_(1)
    assert facts_of(module) != before
