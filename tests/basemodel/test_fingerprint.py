"""The name of exactly these weights."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasdk.basemodel import fingerprint
from lorasdk.basemodel.fingerprint import weights_fingerprint
from lorasdk.errors import ModelError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


def model(folder: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata=metadata)
    return folder


def print_of(folder: Path) -> str:
    return weights_fingerprint(folder, cache_dir=folder / "cache")


def test_sharding_and_metadata_do_not_matter(tmp_path: Path):
    whole = model(tmp_path / "whole", TENSORS, saved_by="somebody")
    parts = tmp_path / "parts"
    parts.mkdir()
    weight_map = {}
    for number, (name, tensor) in enumerate(TENSORS.items()):
        weight_map[name] = f"model-{number}.safetensors"
        save_file({name: tensor}, parts / weight_map[name])
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert print_of(whole) == print_of(parts)


@pytest.mark.parametrize(
    "changed",
    [
        {**TENSORS, "b": torch.ones(4) * 2},
        {**TENSORS, "a": TENSORS["a"].reshape(3, 2)},
        {"a": TENSORS["a"], "c": TENSORS["b"]},
        {**TENSORS, "b": torch.ones(4).view(torch.int32)},
    ],
)
def test_values_shapes_names_and_types_matter(changed: dict[str, torch.Tensor], tmp_path: Path):
    assert print_of(model(tmp_path / "one", TENSORS)) != print_of(model(tmp_path / "two", changed))


def test_it_is_computed_once_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = model(tmp_path / "one", TENSORS)
    first = print_of(folder)
    monkeypatch.setattr(fingerprint, "_hash_tensors", lambda files: pytest.fail("hashed again"))
    assert print_of(folder) == first


def test_a_changed_file_is_computed_anew(tmp_path: Path):
    folder = model(tmp_path / "one", TENSORS)
    first = print_of(folder)
    save_file({**TENSORS, "b": torch.zeros(4)}, folder / "model.safetensors")
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert print_of(folder) != first


def test_a_damaged_memory_is_computed_anew(tmp_path: Path):
    folder = model(tmp_path / "one", TENSORS)
    first = print_of(folder)
    (memory,) = (folder / "cache" / "digests").iterdir()
    memory.write_text('{"sha256": "0"}')
    assert print_of(folder) == first


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path):
    folder = model(tmp_path / "one", TENSORS)
    (tmp_path / "file").write_text("")
    assert weights_fingerprint(folder, cache_dir=tmp_path / "file") == print_of(folder)


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="no weights"):
        weights_fingerprint(tmp_path)
