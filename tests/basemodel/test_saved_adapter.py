"""Saved adapters are put on the base model they were made for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model

from lorasdk.basemodel.adapter_config import read_adapter_config
from lorasdk.basemodel.loading import LoadedBase, load_base_model
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.saved_adapter import add_saved_adapter, attach_saved_adapter, check_base_fingerprint
from lorasdk.contracts import LocatedModel
from lorasdk.errors import AdapterError
from lorasdk.recipe.schema import BaseModelSection

TOKENS = torch.tensor([[1, 5, 6, 7]])


@pytest.fixture
def base(tiny_model_dir: Path, tmp_path: Path) -> LoadedBase:
    located = LocatedModel(tiny_model_dir, "folder", "folder:tiny")
    return load_base_model(located, BaseModelSection(device="cpu", dtype="float32"), cache_dir=tmp_path / "cache")


@pytest.fixture
def adapter_dir(base: LoadedBase, tmp_path: Path) -> Iterator[Path]:
    folder = save_adapter(base, tmp_path / "adapter", value=0.02)
    rewrite_config(folder, base_model_name_or_path="org/own-base")
    return folder


def save_adapter(base: LoadedBase, folder: Path, *, value: float, rank: int = 4) -> Path:
    with quiet():
        model = get_peft_model(base.model, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.constant_(parameter, value)
        model.save_pretrained(folder, save_embedding_layers=False)
        model.unload()
    return folder


def rewrite_config(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_weights(folder: Path, **changes: torch.Tensor) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({**load_file(path), **changes}, path)


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model(input_ids=TOKENS).logits


def refusal(base: LoadedBase, adapter_dir: Path) -> AdapterError:
    before, modules = logits(base.model), set(sys.modules)
    with pytest.raises(AdapterError) as caught:
        attach_saved_adapter(base, adapter_dir)
    assert torch.equal(logits(base.model), before)
    assert not any("lora" in name for name, _ in base.model.named_parameters())
    assert not {"canary_module"} & (set(sys.modules) - modules)
    return caught.value


def test_the_saved_weights_answer(base: LoadedBase, adapter_dir: Path):
    untouched = logits(base.model)
    model = attach_saved_adapter(base, adapter_dir)
    assert not torch.allclose(logits(model), untouched)
    with model.disable_adapter():
        assert torch.equal(logits(model), untouched)
    weights = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
    assert len(weights) == 28
    assert all(torch.all(weight == torch.tensor(0.02)) for weight in weights)


@pytest.mark.parametrize("trainable", [False, True])
def test_only_a_trainable_adapter_requires_gradients(trainable: bool, base: LoadedBase, adapter_dir: Path):
    model = attach_saved_adapter(base, adapter_dir, trainable=trainable)
    demanding = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in demanding)
    assert bool(demanding) == trainable
    assert not model.training


def test_the_hosts_random_state_is_untouched(base: LoadedBase, adapter_dir: Path):
    state = torch.get_rng_state()
    attach_saved_adapter(base, adapter_dir)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_is_said(base: LoadedBase, adapter_dir: Path, capfd: pytest.CaptureFixture[str]):
    attach_saved_adapter(base, adapter_dir)
    assert capfd.readouterr() == ("", "")


def test_several_adapters_share_one_base(base: LoadedBase, adapter_dir: Path, tmp_path: Path):
    second_dir = save_adapter(base, tmp_path / "second", value=0.05, rank=2)
    model = attach_saved_adapter(base, adapter_dir, name="first")
    first = logits(model)
    add_saved_adapter(model, base, second_dir, name="second")
    assert torch.equal(logits(model), first)
    model.set_adapter("second", inference_mode=True)
    assert not torch.allclose(logits(model), first)


def test_a_taken_name_and_a_refused_second_adapter_leave_the_first(base: LoadedBase, adapter_dir: Path, tmp_path: Path):
    second_dir = save_adapter(base, tmp_path / "second", value=0.05)
    rewrite_weights(second_dir, surplus=torch.ones(1))
    model = attach_saved_adapter(base, adapter_dir)
    first = logits(model)
    with pytest.raises(AdapterError, match="already carries an adapter called 'default'"):
        add_saved_adapter(model, base, adapter_dir, name="default")
    with pytest.raises(AdapterError, match="surplus"):
        add_saved_adapter(model, base, second_dir, name="second")
    assert list(model.peft_config) == ["default"]
    assert torch.equal(logits(model), first)


def test_M52_other_shapes_name_both_base_models(base: LoadedBase, adapter_dir: Path):
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    rewrite_weights(adapter_dir, **{key: torch.ones(4, 64)})
    (problem,) = refusal(base, adapter_dir).problems
    assert problem.code == "adapter.base-mismatch"
    assert (problem.found, problem.allowed) == ("folder:tiny", "org/own-base")
    assert f"{key} (4, 64) for (4, 32)" in problem.fix


def test_after_a_refusal_the_right_adapter_can_be_attached(base: LoadedBase, adapter_dir: Path, tmp_path: Path):
    wrong = save_adapter(base, tmp_path / "wrong", value=0.05)
    rewrite_weights(wrong, surplus=torch.ones(1))
    refusal(base, wrong)
    model = attach_saved_adapter(base, adapter_dir)
    assert list(model.peft_config) == ["default"]


def test_missing_and_surplus_matrices_are_errors(base: LoadedBase, adapter_dir: Path):
    path = adapter_dir / "adapter_model.safetensors"
    weights = load_file(path)
    key = min(weights)
    save_file({("surplus" if name == key else name): tensor for name, tensor in weights.items()}, path)
    told = [(problem.code, problem.found) for problem in refusal(base, adapter_dir).problems]
    assert told == [("adapter.missing-weights", key), ("adapter.unexpected-weights", "surplus")]


def test_M50_a_truncated_adapter_is_named(base: LoadedBase, adapter_dir: Path):
    path = adapter_dir / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    error = refusal(base, adapter_dir)
    assert (error.code, error.problems[0].place) == ("file.damaged-safetensors", str(path))


def test_M49_a_pickled_adapter_is_not_opened(base: LoadedBase, adapter_dir: Path):
    (adapter_dir / "adapter_model.safetensors").rename(adapter_dir / "adapter_model.bin")
    error = refusal(base, adapter_dir)
    assert (error.code, error.problems[0].found) == ("adapter.pickled-weights", "adapter_model.bin")


def test_M53_the_same_shapes_on_other_weights_are_told_apart(base: LoadedBase, tmp_path: Path):
    write_tiny_model(tmp_path / "other", seed=1)
    located = LocatedModel(tmp_path / "other", "folder", "folder:other")
    other = load_base_model(located, BaseModelSection(device="cpu"), cache_dir=tmp_path / "cache")
    with pytest.raises(AdapterError) as caught:
        check_base_fingerprint(
            base.fingerprint,
            other.fingerprint,
            expected_source="folder:tiny",
            actual_source="folder:other",
            override=False,
        )
    (problem,) = caught.value.problems
    assert problem.code == "adapter.base-mismatch"
    assert "folder:other" in problem.found
    assert "folder:tiny" in problem.allowed
    assert "allow_base_mismatch=True" in problem.fix


@pytest.mark.parametrize(("actual", "override"), [("a" * 64, False), ("b" * 64, True)])
def test_M53_the_same_weights_or_the_hosts_word_pass(actual: str, override: bool):
    check_base_fingerprint("a" * 64, actual, expected_source="x", actual_source="y", override=override)


@pytest.mark.parametrize(
    "settings",
    [
        {"megatron_core": "canary_module"},
        {"megatron_core": "canary_module", "megatron_config": {"a": 1}},
        {"megatron_config": {"a": 1}},
        {"auto_mapping": {"base_model_class": "Canary", "parent_library": "canary_module"}},
    ],
)
def test_M54_modules_named_by_an_adapter_are_not_imported(
    settings: dict[str, object],
    base: LoadedBase,
    adapter_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "canary_module.py").write_text("class Canary: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    rewrite_config(adapter_dir, **settings)
    error = refusal(base, adapter_dir)
    assert {problem.code for problem in error.problems} == {"adapter.foreign-code"}
    assert {problem.field for problem in error.problems} == set(settings)
    assert "canary_module" not in sys.modules


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"peft_type": "IA3"}, "adapter.not-lora"),
        ({"task_type": "SEQ_CLS"}, "adapter.not-lora"),
        ({"use_hyperlora": True}, "adapter.unknown-settings"),
    ],
)
def test_what_peft_would_misread_or_ignore_is_refused(settings: dict[str, object], code: str, adapter_dir: Path):
    rewrite_config(adapter_dir, **settings)
    with pytest.raises(AdapterError) as caught:
        read_adapter_config(adapter_dir)
    assert caught.value.code == code


def test_a_newer_setting_that_is_not_used_is_accepted(base: LoadedBase, adapter_dir: Path):
    rewrite_config(adapter_dir, use_hyperlora=False, hyperlora_config=None)
    attach_saved_adapter(base, adapter_dir)


def test_a_folder_without_adapter_says_what_is_expected(tmp_path: Path):
    with pytest.raises(AdapterError) as caught:
        read_adapter_config(tmp_path / "absent")
    assert (caught.value.code, caught.value.problems[0].message) == ("adapter.absent", "there is no such folder")


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 10**12},
        {"r": "4"},
        {"rank_pattern": {"q_proj": 10**9}},
        {"rank_pattern": 3},
        {"exclude_modules": "("},
        {"target_modules": ".*"},
        {"lora_dropout": "a"},
        {"lora_alpha": None},
        {"alpha_pattern": {"down_proj": "x"}},
        {"monteclora_config": 3},
    ],
)
def test_settings_that_peft_chokes_on_are_adapter_errors_and_leave_no_layer(settings, base, adapter_dir: Path):
    layers = {name: type(module) for name, module in base.model.named_modules()}
    rewrite_config(adapter_dir, **settings)
    assert refusal(base, adapter_dir).code == "adapter.refused"
    assert {name: type(module) for name, module in base.model.named_modules()} == layers


@pytest.mark.parametrize(
    "settings",
    [{"init_lora_weights": init} for init in ("pissa", "pissa_niter_4", "olora", "corda")]
    + [{"layer_replication": [[0, 2], [0, 2]]}, {"kasa_config": {}}],
)
def test_an_adapter_cannot_change_the_base_model(settings: dict[str, object], base: LoadedBase, adapter_dir: Path):
    rewrite_config(adapter_dir, **settings)
    assert refusal(base, adapter_dir).code == "adapter.changes-base"


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_link_out_of_the_folder_is_not_followed(name: str, base: LoadedBase, adapter_dir: Path, tmp_path: Path):
    (adapter_dir / name).rename(tmp_path / name)
    (adapter_dir / name).symlink_to(tmp_path / name)
    error = refusal(base, adapter_dir)
    assert (error.code, error.problems[0].found) == ("adapter.link-outside", str(tmp_path / name))


def test_links_of_the_hub_clients_cache_are_followed(base: LoadedBase, adapter_dir: Path, tmp_path: Path):
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "c0ffee", tmp_path / "models--a--b" / "blobs"
    snapshot.parent.mkdir(parents=True)
    adapter_dir.rename(snapshot)
    blobs.mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("..", "..", "blobs", path.name))
    attach_saved_adapter(base, snapshot)
