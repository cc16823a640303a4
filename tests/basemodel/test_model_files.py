"""What is refused before any library looks at a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasdk.basemodel.model_files import require_loadable, weight_files
from lorasdk.errors import ModelError


def model(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    return folder


def codes(folder: Path, *, trust_remote_code: bool = False) -> list[str]:
    with pytest.raises(ModelError) as caught:
        require_loadable(folder, trust_remote_code=trust_remote_code)
    return [problem.code for problem in caught.value.problems]


def test_a_whole_model_passes_with_its_configuration(tmp_path: Path):
    assert require_loadable(model(tmp_path), trust_remote_code=False)["model_type"] == "llama"


@pytest.mark.parametrize("config", [{"auto_map": {"AutoConfig": "x.Y"}}, {"text_config": {"auto_map": {}}}])
def test_M48_code_that_comes_with_a_model_needs_the_hosts_trust(config: dict[str, object], tmp_path: Path):
    folder = model(tmp_path, **config)
    with pytest.raises(ModelError) as caught:
        require_loadable(folder, trust_remote_code=False)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("model.foreign-code", str(folder / "config.json"))
    assert "trust_remote_code=True" in problem.fix
    require_loadable(folder, trust_remote_code=True)


def test_M49_pickled_weights_are_refused_with_the_command_that_converts_them(tmp_path: Path):
    model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError) as caught:
        require_loadable(tmp_path, trust_remote_code=False)
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == ("model.pickled-weights", "pytorch_model.bin")
    assert "save_pretrained" in problem.fix


def test_M50_a_truncated_part_is_named(tmp_path: Path):
    path = model(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"model\.safetensors: .*truncated"):
        require_loadable(tmp_path, trust_remote_code=False)


def test_a_folder_without_configuration_is_no_model(tmp_path: Path):
    assert codes(tmp_path) == ["model.not-a-model-folder"]
    assert codes(tmp_path / "absent") == ["model.not-a-model-folder"]


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    (model(tmp_path) / "model.safetensors").unlink()
    assert codes(tmp_path) == ["model.no-weights"]


@pytest.mark.parametrize("content", ["{", "[]", "\xff", "[" * 100_000])
def test_a_configuration_that_is_no_json_object_is_refused(content: str, tmp_path: Path):
    (model(tmp_path) / "config.json").write_text(content, encoding="latin-1")
    assert codes(tmp_path) == ["file.not-a-json-object"]


def test_an_adapter_and_quantised_weights_are_told_together(tmp_path: Path):
    model(tmp_path, quantization_config={"quant_method": "gptq"})
    (tmp_path / "adapter_config.json").write_text("{}")
    assert codes(tmp_path) == ["model.is-an-adapter", "model.quantised-already"]


@pytest.mark.parametrize("part", ["absent.safetensors", "../model.safetensors", "/model.safetensors"])
def test_an_index_may_name_only_files_beside_it(part: str, tmp_path: Path):
    inner = tmp_path / "inner"
    inner.mkdir()
    model(tmp_path)
    (inner / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": part}}))
    with pytest.raises(ModelError) as caught:
        weight_files(inner)
    assert (caught.value.code, caught.value.problems[0].found) == ("model.incomplete-weights", part)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation_internal", "experts_implementation"])
def test_a_configuration_that_names_a_repository_of_kernels_is_refused(tmp_path: Path, key: str):
    with pytest.raises(ModelError) as caught:
        require_loadable(model(tmp_path, text_config={key: "somebody/kernels"}), trust_remote_code=False)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field, problem.found) == ("model.foreign-code", key, "somebody/kernels")
