from pathlib import Path

import pytest
import torch
from tiny_training import chat, encoder_of, load_tiny, token_rows

from lorasdk.engine.initial_adapter import data_batches
from lorasdk.engine.lora import attach_lora, describe_attachment
from lorasdk.errors import ModelError
from lorasdk.recipe.schema import LoraSection


def attach(folder: Path, *, batches=(), **section):
    return attach_lora(load_tiny(folder).model, LoraSection.model_validate(section), seed=0, batches=batches)


def test_M51_targets_that_match_nothing_list_the_linear_layers(tiny_model_dir: Path):
    with pytest.raises(ModelError) as caught:
        attach(tiny_model_dir, targets=["q_proj", "qkv", "w1"])
    assert [problem.found for problem in caught.value.problems] == ["'qkv'", "'w1'"]
    assert "q_proj (×2)" in caught.value.problems[0].allowed
    assert "lm_head" in caught.value.problems[0].allowed


@pytest.mark.parametrize("targets", [r".*\.nothing", "(", ["model.layers.7.q_proj"]])
def test_M51_regular_expressions_too(tiny_model_dir: Path, targets):
    with pytest.raises(ModelError):
        attach(tiny_model_dir, targets=targets)


@pytest.mark.parametrize(
    ("targets", "count"),
    [("all-linear", 14), (["q_proj", "v_proj"], 4), (r".*layers\.1\..*_proj", 7), (["model.layers.0.mlp.up_proj"], 1)],
)
def test_targets_choose_modules(tiny_model_dir: Path, targets, count: int):
    assert len(describe_attachment(attach(tiny_model_dir, targets=targets)).modules) == count


def test_the_trainable_share_counts_the_matrices(tiny_model_dir: Path):
    event = describe_attachment(attach(tiny_model_dir, targets=["q_proj"], rank=4))
    assert event.trainable_parameters == 2 * 4 * (32 + 32)
    assert event.trainable_share == event.trainable_parameters / event.total_parameters


def test_only_the_adapter_is_trained_and_in_float32(tiny_model_dir: Path):
    base = load_tiny(tiny_model_dir, dtype="bfloat16")
    model = attach_lora(base.model, LoraSection(), seed=0, batches=[])
    trained = {name: p.dtype for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    assert set(trained.values()) == {torch.float32}


def test_patterns_change_single_modules(tiny_model_dir: Path):
    model = attach(tiny_model_dir, rank=4, rank_pattern={"q_proj": 2}, alpha_pattern={r"layers\.1\..*": 64.0})
    layer = model.base_model.model.model.layers[1].self_attn.q_proj
    assert layer.r["default"] == 2
    assert layer.scaling["default"] == 64 / 2


def test_patterns_and_layers_that_match_nothing_are_errors_together(tiny_model_dir: Path):
    with pytest.raises(ModelError) as caught:
        attach(tiny_model_dir, targets=["q_proj"], rank_pattern={"w9": 2}, alpha_pattern={"w8": 2.0}, layers=[0, 5])
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["lora.rank_pattern", "lora.alpha_pattern", "lora.layers"]


def test_layers_choose_layers(tiny_model_dir: Path):
    event = describe_attachment(attach(tiny_model_dir, targets=["q_proj"], layers=[1]))
    assert event.modules == ("model.layers.1.self_attn.q_proj",)


def test_what_peft_refuses_is_refused_with_its_reason(tiny_model_dir: Path):
    with pytest.raises(ModelError) as caught:
        attach(tiny_model_dir, targets=r".*q_proj", layers=[0])
    assert caught.value.code == "lora.refused"
    assert "layers_to_transform" in str(caught.value)


def test_modules_to_save_are_trained_in_full(tiny_model_dir: Path):
    model = attach(tiny_model_dir, targets=["q_proj"], modules_to_save=["norm"])
    assert any("modules_to_save" in name for name, p in model.named_parameters() if p.requires_grad)


def test_variants_are_passed_through(tiny_model_dir: Path):
    config = attach(tiny_model_dir, rslora=True, dora=True, bias="lora_only", dropout=0.1).peft_config["default"]
    assert (config.use_rslora, config.use_dora, config.bias, config.lora_dropout) == (True, True, "lora_only", 0.1)


@pytest.mark.parametrize("init", ["gaussian", "pissa", "pissa_niter_2", "olora", "orthogonal"])
def test_initialisations_are_peft_s(tiny_model_dir: Path, init: str):
    assert attach(tiny_model_dir, init=init, rank=4).peft_config["default"].init_lora_weights == init


def test_loftq_is_refused_where_peft_needs_another_device(tiny_model_dir: Path):
    if torch.cuda.is_available():
        assert attach(tiny_model_dir, init="loftq", rank=4).peft_config["default"].init_lora_weights == "loftq"
        return
    with pytest.raises(ModelError, match="CUDA"):
        attach(tiny_model_dir, init="loftq", rank=4)


@pytest.mark.parametrize("init", ["eva", "corda"])
def test_initialisations_that_look_at_data_get_batches(tiny_model_dir: Path, init: str):
    rows = token_rows(encoder_of(tiny_model_dir), [chat(f"question number {i}", "an answer") for i in range(16)])
    section = LoraSection(init=init, rank=2)
    batches = data_batches(section, rows, 4, device=torch.device("cpu"))
    default = dict(attach(tiny_model_dir, rank=2).named_parameters())
    chosen = attach(tiny_model_dir, init=init, rank=2, batches=batches)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert not torch.equal(dict(chosen.named_parameters())[name], default[name])


def test_the_seed_decides_and_the_global_state_is_left_alone(tiny_model_dir: Path):
    before = torch.get_rng_state()
    first, second = attach(tiny_model_dir), attach(tiny_model_dir)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_expert_parameters_are_adapted(tmp_path: Path):
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=2, max_position_embeddings=32,
    )  # fmt: skip
    model = MixtralForCausalLM(config).requires_grad_(requires_grad=False)
    section = LoraSection(targets=["q_proj"], target_parameters=["mlp.experts.down_proj"], rank=2)
    event = describe_attachment(attach_lora(model, section, seed=0, batches=[]))
    assert any(name.endswith("down_proj") for name in event.modules)


def test_all_linear_layers_of_chosen_blocks(tiny_model_dir: Path):
    section = LoraSection(layers=(1,))
    names = describe_attachment(attach_lora(load_tiny(tiny_model_dir).model, section, seed=0, batches=[])).modules
    assert len(names) == 7
    assert all(".layers.1." in name for name in names)
