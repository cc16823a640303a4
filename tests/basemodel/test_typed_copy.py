"""A dequantised model in the type it is computed in: the same values, made once, and mapped instead of converted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_gguf import write_tiny_gguf

from lorasdk.basemodel.loading import load_base_model
from lorasdk.basemodel.typed_copy import mapped_share, typed_copy
from lorasdk.contracts import LocatedModel
from lorasdk.recipe.schema import BaseModelSection

WEIGHTS = "model.safetensors"


@pytest.fixture
def dense(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """As a GGUF's copy is: wide, but for tensors whose values survive 16 bits."""
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "dense"))
    weights = load_file(folder / WEIGHTS)
    mixed = {name: tensor.float() if tensor.dim() > 1 else tensor.bfloat16() for name, tensor in weights.items()}
    save_file(mixed, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def test_the_copy_has_the_values_that_conversion_gives(dense: Path):
    copied = load_file(typed_copy(dense, torch.bfloat16) / WEIGHTS)
    wide = load_file(dense / WEIGHTS)
    assert copied.keys() == wide.keys()
    assert all(torch.equal(copied[name], wide[name].bfloat16()) for name in wide)


def test_it_is_made_once(dense: Path):
    first = (typed_copy(dense, torch.bfloat16) / WEIGHTS).stat()
    assert (typed_copy(dense, torch.bfloat16) / WEIGHTS).stat().st_ino == first.st_ino


def test_no_copy_is_made_where_the_folder_is_mostly_in_the_type_already(dense: Path):
    assert typed_copy(dense, torch.float32) == dense
    assert 0.5 < mapped_share(dense, torch.float32) < 1


def test_a_damaged_copy_is_made_anew(dense: Path):
    weights = typed_copy(dense, torch.bfloat16) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    assert mapped_share(typed_copy(dense, torch.bfloat16), torch.bfloat16) == 1


def test_a_copy_that_cannot_be_written_is_done_without(dense: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lorasdk.basemodel.typed_copy.save_file", full)
    assert typed_copy(dense, torch.bfloat16) == dense
    assert [path.name for path in dense.parent.iterdir()] == ["dense"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list its mappings")
def test_a_folder_that_was_converted_stays_not_mapped_for_the_sake_of_one_tensor(dense: Path, tmp_path: Path):
    located = LocatedModel(dense, "folder", "folder:tiny")
    base = load_base_model(located, BaseModelSection(device="cpu", dtype="bfloat16"), cache_dir=tmp_path)
    assert base.model.dtype == torch.bfloat16
    assert str(dense / WEIGHTS) not in Path("/proc/self/maps").read_text()


def test_a_gguf_is_loaded_from_its_copy_in_the_type_under_the_fingerprint_of_the_exact_values(
    tiny_model_dir: Path, tmp_path: Path
):
    path = write_tiny_gguf(tiny_model_dir, tmp_path / "tiny.gguf", matrices="Q4_1")
    wide, narrow = (
        load_base_model(
            LocatedModel(path, "gguf", "gguf:tiny"), BaseModelSection(device="cpu", dtype=dtype), cache_dir=tmp_path
        )
        for dtype in ("float32", "bfloat16")
    )
    assert narrow.fingerprint == wide.fingerprint
    assert [folder.name.rpartition("-")[2] for folder in sorted((tmp_path / "dense").iterdir())] == ["1", "bfloat16"]
    pairs = zip(narrow.model.parameters(), wide.model.parameters(), strict=True)
    assert all(torch.equal(few, many.bfloat16()) for few, many in pairs)
