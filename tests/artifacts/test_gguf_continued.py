"""A model whose base came as GGUF: that file, but for what training changed."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import torch
from tiny_gguf import write_tiny_gguf
from transformers import AutoTokenizer

from lorasdk.artifacts.gguf_model import load_gguf, write_gguf
from lorasdk.errors import AdapterError
from lorasdk.recipe.schema import GenerationSection

CHANGED = "blk.1.attn_k.weight"


@pytest.fixture
def source(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return write_tiny_gguf(tiny_model_dir, tmp_path / "base.gguf", matrices="Q4_0")


def export(model, source: Path, folder: Path, *, dtype: str = "f16", chat_template: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    return write_gguf(
        model,
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name),
        folder,
        source=source,
        dtype=dtype,
        name="tuned",
        chat_template=chat_template,
        generation=GenerationSection(),
    )


def changed(source: Path):
    model = load_gguf(source)
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight[3, 5] += 1
    return model


def raw(path: Path) -> dict[str, tuple[str, bytes]]:
    return {each.name: (each.tensor_type.name, each.data.tobytes()) for each in gguf.GGUFReader(path).tensors}


def metadata(path: Path) -> dict[str, object]:
    return {field.name: (field.types, field.contents()) for field in gguf.GGUFReader(path).fields.values()}


def test_unchanged_tensors_are_taken_over_byte_for_byte(source: Path, tmp_path: Path):
    written, before = raw(export(changed(source), source, tmp_path / "out")), raw(source)
    assert list(written) == list(before)
    assert written.pop(CHANGED)[0] == "F16"
    assert before.pop(CHANGED)[0] == "Q4_0"
    assert written == before


def test_metadata_and_tokenizer_are_taken_over_but_for_the_name(source: Path, tmp_path: Path):
    written, before = metadata(export(changed(source), source, tmp_path / "out")), metadata(source)
    assert written.pop("general.name")[1] == "tuned"
    assert written.pop("GGUF.kv_count")[1] == before.pop("GGUF.kv_count")[1] + 1
    assert written == before


def test_a_chat_template_of_the_recipe_replaces_the_files(source: Path, tmp_path: Path):
    path = export(changed(source), source, tmp_path / "out", chat_template="{{ messages }}")
    assert metadata(path)["tokenizer.chat_template"][1] == "{{ messages }}"


@pytest.mark.parametrize(("ends", "added"), [(2, None), ([2], None), ([2, 0], 0)])
def test_a_token_that_ends_answers_otherwise_than_the_file_says_is_added(ends, added, source: Path, tmp_path: Path):
    model = changed(source)
    model.generation_config.eos_token_id = ends
    written = metadata(export(model, source, tmp_path / "out"))
    assert written.get("tokenizer.ggml.eot_token_id", (None, None))[1] == added


def test_a_changed_output_layer_is_added_where_the_file_shares_it_with_the_embedding(source: Path, tmp_path: Path):
    model = load_gguf(source)
    assert "output.weight" not in raw(source)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 2)
    path = export(model, source, tmp_path / "out", dtype="f32")
    assert torch.equal(load_gguf(path).lm_head.weight, model.lm_head.weight)
    assert raw(path)["token_embd.weight"] == raw(source)["token_embd.weight"]


def test_a_model_with_more_tokens_than_the_files_tokenizer_is_refused(source: Path, tmp_path: Path):
    model = load_gguf(source)
    model.resize_token_embeddings(328, mean_resizing=False)
    with pytest.raises(AdapterError) as caught:
        export(model, source, tmp_path / "out")
    assert caught.value.code == "export.vocabulary"


@pytest.mark.parametrize("alignment", [32, 128])
def test_another_alignment_is_kept(alignment: int, source: Path, tmp_path: Path):
    aligned = export(changed(source), realigned(source, tmp_path / "aligned.gguf", alignment), tmp_path / "out")
    reader = gguf.GGUFReader(aligned)
    assert reader.alignment == alignment
    assert all(tensor.data_offset % alignment == 0 for tensor in reader.tensors)
    assert raw(aligned)["output_norm.weight"] == raw(source)["output_norm.weight"]


def realigned(source: Path, path: Path, alignment: int) -> Path:
    from lorasdk.artifacts import gguf_continued, gguf_file

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(None, "llama")
    writer.add_custom_alignment(alignment)
    for field in reader.fields.values():
        gguf_continued._take_over(field, writer, {})
    gguf_file.write_file(path, writer, [gguf_file.taken_over(tensor) for tensor in reader.tensors])
    return path


def test_a_file_with_a_tensor_that_transformers_leaves_unread_is_refused(source: Path, tmp_path: Path):
    from lorasdk.artifacts import gguf_file

    tensors = [gguf_file.taken_over(tensor) for tensor in gguf.GGUFReader(source).tensors]
    bias = gguf_file.planned("blk.0.attn_q.bias", (32,), gguf.GGMLQuantizationType.F32, lambda: torch.ones(32))
    writer = gguf.GGUFWriter(None, "llama")
    gguf_file.write_file(tmp_path / "biased.gguf", writer, [*tensors, bias])
    with pytest.raises(AdapterError, match=r"blk\.0\.attn_q\.bias") as caught:
        export_with_any_tokenizer(changed(source), tmp_path / "biased.gguf", tmp_path)
    assert caught.value.code == "export.unsupported-tensor"


def export_with_any_tokenizer(model, source: Path, folder: Path) -> Path:
    return write_gguf(
        model,
        AutoTokenizer.from_pretrained(folder, gguf_file="base.gguf"),
        folder,
        source=source,
        dtype="f16",
        name="x",
        chat_template=None,
        generation=GenerationSection(),
    )


def test_a_file_with_stretched_positions_is_refused_since_transformers_does_not_read_them(source: Path, tmp_path: Path):
    model = changed(source)
    writer = gguf.GGUFWriter(tmp_path / "long.gguf", "llama")
    writer.add_tensor("rope_freqs.weight", torch.ones(4).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(AdapterError, match="rope_freqs") as caught:
        export_with_any_tokenizer(model, tmp_path / "long.gguf", tmp_path)
    assert caught.value.code == "export.unsupported-setting"
