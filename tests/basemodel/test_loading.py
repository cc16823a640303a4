"""A base model in memory: whole, frozen, and nothing else changed."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path

import bitsandbytes
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model

from lorasdk.basemodel.loading import LoadedBase, load_base_model
from lorasdk.basemodel.quiet import quiet
from lorasdk.contracts import LocatedModel
from lorasdk.errors import ModelError
from lorasdk.recipe.schema import BaseModelSection

TOKENS = torch.tensor([[1, 5, 6, 7, 200, 201, 90, 33]])


def load(folder: Path, cache: Path, **section: object) -> LoadedBase:
    located = LocatedModel(folder, "folder", "folder:tiny")
    return load_base_model(located, BaseModelSection(device="cpu", **section), cache_dir=cache)


@pytest.fixture(scope="session")
def wide_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One 4-bit block wide: narrower layers are refused on a CPU."""
    return write_tiny_model(tmp_path_factory.mktemp("wide-model"), hidden=64)


@pytest.fixture
def copied(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def rewrite_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_is_frozen_in_evaluation_mode_and_in_the_asked_type(tiny_model_dir: Path, tmp_path: Path):
    base = load(tiny_model_dir, tmp_path, dtype="bfloat16")
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.bfloat16}
    assert base.model.config._attn_implementation == "sdpa"
    assert (base.device.name, base.device.dtype, base.quantization) == ("cpu", "bfloat16", "none")
    assert base.parameters == sum(t.numel() for t in load_file(tiny_model_dir / "model.safetensors").values())


def test_the_hosts_random_state_and_default_type_are_untouched(tiny_model_dir: Path, tmp_path: Path):
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    load(tiny_model_dir, tmp_path, dtype="bfloat16")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == dtype


def test_a_refused_model_leaves_the_random_state_untouched_too(copied: Path, tmp_path: Path):
    rewrite_config(copied, num_hidden_layers=3)
    state = torch.get_rng_state()
    with pytest.raises(ModelError):
        load(copied, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_reach_every_layer_also_after_an_answer(
    quantization: str, dtype: str, wide_model_dir: Path, tmp_path: Path
):
    base = load(wide_model_dir, tmp_path, quantization=quantization, dtype=dtype)
    with quiet():
        model = get_peft_model(base.model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        with torch.no_grad():
            model.eval()(input_ids=TOKENS)
        model.train()(input_ids=TOKENS, labels=TOKENS).loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if "lora_B" in name}
    assert len(gradients) == 14
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())


def test_int8_logits_are_near_the_full_ones(tiny_model_dir: Path, tmp_path: Path):
    full = load(tiny_model_dir, tmp_path, dtype="float32")
    small = load(tiny_model_dir, tmp_path, dtype="float32", quantization="int8")
    with torch.no_grad(), quiet():
        expected, actual = full.model(TOKENS).logits, small.model(TOKENS).logits
    assert 0 < (actual - expected).norm() / expected.norm() < 0.05
    assert small.parameters == full.parameters


def test_nf4_logits_are_those_of_the_unpacked_weights(wide_model_dir: Path, tmp_path: Path):
    full = load(wide_model_dir, tmp_path, dtype="float32")
    small = load(wide_model_dir, tmp_path, dtype="float32", quantization="nf4")
    packed = {n: m.weight for n, m in small.model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    assert len(packed) == 14
    assert small.parameters == full.parameters
    for name, weight in packed.items():
        original = full.model.get_submodule(name).weight.data
        unpacked = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
        assert 0 < (unpacked - original).norm() / original.norm() < 0.12
        original.copy_(unpacked)
    with torch.no_grad(), quiet():
        torch.testing.assert_close(small.model(TOKENS).logits, full.model(TOKENS).logits, rtol=1e-4, atol=1e-4)


def test_M55_nf4_layers_that_a_cpu_would_unpack_wrongly_are_refused(tiny_model_dir: Path, tmp_path: Path):
    with pytest.raises(ModelError) as caught:
        load(tiny_model_dir, tmp_path, quantization="nf4")
    (problem,) = caught.value.problems
    assert problem.code == "device.quantization-unsupported"
    assert "device cpu" in problem.message
    assert problem.found.startswith("model.layers.0.self_attn.q_proj (32)")
    assert "int8" in problem.allowed
    load(tiny_model_dir, tmp_path, quantization="int8")


def test_M48_code_of_a_model_is_not_run(copied: Path, tmp_path: Path):
    canary = tmp_path / "canary"
    (copied / "canary_code.py").write_text(f"open({str(canary)!r}, 'w')\nclass Canary: ...\n")
    rewrite_config(copied, model_type="canary", auto_map={"AutoConfig": "canary_code.Canary"})
    with pytest.raises(ModelError) as caught:
        load(copied, tmp_path)
    assert caught.value.code == "model.foreign-code"
    assert not canary.exists()
    assert not any("canary_code" in name for name in sys.modules)


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_M49_a_pickle_is_not_opened(copied: Path, tmp_path: Path):
    canary = tmp_path / "canary"
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ModelError) as caught:
        load(copied, tmp_path)
    assert caught.value.code == "model.pickled-weights"
    assert not canary.exists()


def test_M50_truncated_weights_are_an_error_that_names_the_file(copied: Path, tmp_path: Path):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError) as caught:
        load(copied, tmp_path)
    assert (caught.value.code, caught.value.problems[0].place) == ("file.damaged-safetensors", str(weights))


def test_missing_and_unexpected_weights_are_errors(copied: Path, tmp_path: Path):
    tensors = load_file(copied / "model.safetensors")
    tensors["model.surplus.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load(copied, tmp_path)
    told = [(problem.code, problem.found) for problem in caught.value.problems]
    assert told == [
        ("model.missing-weights", "model.norm.weight"),
        ("model.unexpected-weights", "model.surplus.weight"),
    ]


@pytest.mark.parametrize("changes", [{"model_type": "vit"}, {"model_type": "nobody-knows"}, {"hidden_size": 48}])
def test_what_is_not_this_causal_language_model_is_refused(changes: dict[str, object], copied: Path, tmp_path: Path):
    rewrite_config(copied, **changes)
    with pytest.raises(ModelError) as caught:
        load(copied, tmp_path)
    assert caught.value.problems[0].place == str(copied)
