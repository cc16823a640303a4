"""A GGUF file becomes a model folder, once, and holds exactly the file's values."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file
from tiny_gguf import write_tiny_gguf
from tiny_model import CHAT_TEMPLATE, write_tiny_model
from transformers import modeling_gguf_pytorch_utils as gguf_reading

from lorasdk.basemodel import dense_copy as dense_copy_file
from lorasdk.basemodel.dense_copy import dense_copy
from lorasdk.basemodel.loading import load_base_model, model_folder
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import LocatedModel, SourceRequest
from lorasdk.errors import ModelError, ResourceError
from lorasdk.recipe.schema import BaseModelSection


@pytest.fixture
def tiny_gguf(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return write_tiny_gguf(tiny_model_dir, tmp_path / "tiny.gguf")


def values(path: Path, name: str) -> torch.Tensor:
    (tensor,) = [tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name]
    return torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).float()


def test_the_copy_is_a_whole_model_folder(tiny_gguf: Path, tmp_path: Path):
    folder = dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")
    base = load_base_model(LocatedModel(folder, "folder", "x"), BaseModelSection(device="cpu"), cache_dir=tmp_path)
    tokenizer = load_tokenizer(folder)
    assert base.model.generation_config.eos_token_id == 2
    assert (tokenizer.chat_template, tokenizer.eos_token, tokenizer.pad_token) == (
        CHAT_TEMPLATE,
        "<|im_end|>",
        "<|endoftext|>",
    )
    assert tokenizer("Hi<|im_end|>").input_ids[-1] == 2


@pytest.mark.parametrize(("matrices", "dtype"), [("F16", torch.float16), ("Q4_1", torch.float32)])
def test_every_value_is_kept_exactly_in_the_smallest_type_that_holds_it(
    matrices: str, dtype: torch.dtype, tiny_model_dir: Path, tmp_path: Path
):
    path = write_tiny_gguf(tiny_model_dir, tmp_path / "tiny.gguf", matrices=matrices)
    copied = load_file(dense_copy(path, cache_dir=tmp_path / "cache") / "model.safetensors")
    for name, theirs in {"embed_tokens": "token_embd", "layers.1.mlp.up_proj": "blk.1.ffn_up"}.items():
        tensor = copied[f"model.{name}.weight"]
        assert tensor.dtype == dtype
        assert torch.equal(tensor.float(), values(path, f"{theirs}.weight"))


def test_the_weights_are_those_of_the_original(tiny_gguf: Path, tiny_model_dir: Path, tmp_path: Path):
    copied = load_file(dense_copy(tiny_gguf, cache_dir=tmp_path / "cache") / "model.safetensors")
    original = load_file(tiny_model_dir / "model.safetensors")
    assert copied.keys() == original.keys()
    for name, tensor in original.items():
        torch.testing.assert_close(copied[name].float(), tensor.float(), rtol=1e-3, atol=1e-4)


def test_it_is_made_once(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(dense_copy_file, "_write", lambda *_: pytest.fail("made again"))
    assert dense_copy(tiny_gguf, cache_dir=tmp_path / "cache") == first
    assert first.name.startswith(hashlib.sha256(tiny_gguf.read_bytes()).hexdigest())


def test_what_lies_next_to_the_file_does_not_matter(tiny_gguf: Path, tmp_path: Path):
    write_tiny_model(tiny_gguf.parent)
    settings = tiny_gguf.parent / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "eos_token": "Q"}))
    (tiny_gguf.parent / "adapter_config.json").write_text('{"base_model_name_or_path": "other/model"}')
    assert load_tokenizer(dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")).eos_token == "<|im_end|>"


def test_nothing_is_said_and_nothing_stays_changed(tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    bar, state = gguf_reading.tqdm, torch.get_rng_state()
    dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")
    assert capfd.readouterr() == ("", "")
    assert gguf_reading.tqdm is bar
    assert torch.equal(torch.get_rng_state(), state)


def test_several_at_once_give_one_whole_copy(tiny_gguf: Path, tmp_path: Path):
    found: list[Path] = []
    work = [
        threading.Thread(target=lambda: found.append(dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")))
        for _ in range(3)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert list((tmp_path / "cache" / "dense").iterdir()) == [found[0]]


def refusal(path: Path, cache: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        dense_copy(path, cache_dir=cache)
    assert caught.value.problems[0].place == str(path)
    assert not list(cache.glob("dense/*"))
    return caught.value


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04"])
def test_M50_a_file_that_is_no_gguf_is_named(content: bytes, tmp_path: Path):
    (tmp_path / "x.gguf").write_bytes(content)
    assert refusal(tmp_path / "x.gguf", tmp_path / "cache").code == "file.damaged-gguf"


def test_a_file_whose_positions_transformers_would_leave_unstretched_is_refused(tiny_model_dir: Path, tmp_path: Path):
    path = write_tiny_gguf(tiny_model_dir, tmp_path / "long.gguf", stretched=True)
    error = refusal(path, tmp_path / "cache")
    assert error.code == "model.stretched-positions"
    assert "llama.rope.scaling.type = yarn" in str(error)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_M50_a_truncated_gguf_is_named(share: float, tiny_gguf: Path, tmp_path: Path):
    content = tiny_gguf.read_bytes()
    tiny_gguf.write_bytes(content[: int(len(content) * share)])
    assert refusal(tiny_gguf, tmp_path / "cache").code == "file.damaged-gguf"


def test_M50_a_tensor_offset_that_lies_is_noticed(tiny_gguf: Path, tmp_path: Path):
    reader = gguf.GGUFReader(tiny_gguf)
    (offset,) = [field.parts[-1] for tensor in reader.tensors[-1:] for field in [tensor.field]]
    content = bytearray(tiny_gguf.read_bytes())
    where = content.index(reader.tensors[-1].name.encode()) + len(reader.tensors[-1].name)
    place = content.index(offset.tobytes(), where)
    content[place : place + 8] = (2**40).to_bytes(8, "little")
    del reader
    tiny_gguf.write_bytes(content)
    assert refusal(tiny_gguf, tmp_path / "cache").code == "file.damaged-gguf"


def test_a_gguf_that_lacks_a_tensor_is_refused(tiny_model_dir: Path, tmp_path: Path):
    absent = "model.layers.1.mlp.up_proj.weight"
    path = write_tiny_gguf(tiny_model_dir, tmp_path / "tiny.gguf", leave_out=absent)
    error = refusal(path, tmp_path / "cache")
    assert (error.code, error.problems[0].found) == ("model.missing-weights", absent)


def test_a_full_disk_leaves_nothing_half_made(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dense_copy_file, "_flush", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        dense_copy(tiny_gguf, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "dense").iterdir())


@pytest.mark.real
def test_the_embedded_model_answers_and_needs_neither_network_nor_a_second_copy(
    embedded_model_source: str, monkeypatch: pytest.MonkeyPatch
):
    request = SourceRequest(embedded_model_source.partition(":")[2], None, Path(), "")
    model_folder(PackageSource().locate(request))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a process"))
    monkeypatch.setattr(dense_copy_file, "_write", lambda *_: pytest.fail("copied again"))
    base = load_base_model(PackageSource().locate(request), BaseModelSection(device="cpu"))
    assert base.parameters == 134_515_008
    tokenizer = load_tokenizer(base.folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = base.model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
