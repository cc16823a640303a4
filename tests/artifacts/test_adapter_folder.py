import json
from pathlib import Path

import pytest
from made_passport import made_passport
from tiny_training import load_tiny

from lorasdk.artifacts.adapter_folder import check_weights, save_adapter
from lorasdk.artifacts.model_card import model_card
from lorasdk.artifacts.passport import FILE_NAME, read_passport
from lorasdk.artifacts.proof import not_proved
from lorasdk.basemodel.quiet import quiet
from lorasdk.checkpoints import whole_folder
from lorasdk.engine.lora import attach_lora
from lorasdk.errors import AdapterError, ResourceError
from lorasdk.recipe.schema import LoraSection


@pytest.fixture
def model(tiny_model_dir: Path):
    return attach_lora(load_tiny(tiny_model_dir).model, LoraSection(), seed=0, batches=[])


def save(model, folder: Path, *, vocabulary: int = 320):
    with quiet():
        return save_adapter(
            model,
            folder,
            base_name="org/base",
            base_vocabulary=vocabulary,
            passport=lambda sha256: made_passport(adapter_sha256=sha256),
            prove=lambda _draft: not_proved("nobody asked"),
        )


def test_the_folder_is_a_peft_adapter_that_names_its_base(model, tmp_path: Path):
    save(model, tmp_path / "out" / "adapter")
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "org/base"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["adapter"]


def test_nothing_is_overwritten(model, tmp_path: Path):
    save(model, tmp_path / "adapter")
    with pytest.raises(AdapterError) as caught:
        save(model, tmp_path / "adapter")
    assert caught.value.code == "adapter.exists"


def test_a_write_that_fails_leaves_nothing(model, tmp_path: Path, monkeypatch):
    def full(_folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_folder, "flush_tree", full)
    with pytest.raises(ResourceError, match="No space left"):
        save(model, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_M56_added_tokens_without_their_embedding_are_an_error_at_save(tiny_model_dir: Path, tmp_path: Path):
    base = load_tiny(tiny_model_dir).model
    with quiet():
        base.resize_token_embeddings(330)
    model = attach_lora(base, LoraSection(targets=["q_proj"]), seed=0, batches=[])
    with pytest.raises(AdapterError) as caught:
        save(model, tmp_path / "adapter")
    assert caught.value.code == "adapter.embeddings-not-saved"
    assert "embed_tokens" in caught.value.problems[0].fix
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"format": 2}', b'{"unknown": 1}'])
def test_a_damaged_passport_is_an_error_of_ours(tmp_path: Path, content: bytes):
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(AdapterError) as caught:
        read_passport(tmp_path)
    assert caught.value.code == "adapter.damaged-passport"


def test_the_folders_readme_is_ours_and_not_pefts_form(model, tmp_path: Path):
    passport = save(model, tmp_path / "adapter")
    assert (tmp_path / "adapter" / "README.md").read_text("utf-8") == model_card(passport, None)
    assert read_passport(tmp_path / "adapter") == passport
    check_weights(tmp_path / "adapter", passport)
