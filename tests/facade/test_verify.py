"""An artefact is checked anywhere, and what is not as it was is refused."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model
from tiny_training import ROWS, tiny_tuner

from lorasdk import AdapterError, FineTuner, Notice
from lorasdk.artifacts.adapter_folder import sha256_of
from lorasdk.tuner.verifying import verify

FORMATS = ("merged", "adapter", "gguf", "gguf-adapter")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuner(base: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuner:
    folder = tmp_path_factory.mktemp("runs")
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    data = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    made = tiny_tuner(
        base, folder, rows={}, data=data, evaluation={"max_overlap": None}, lora={"targets": ["q_proj", "v_proj"]}
    )
    made.train(evaluate=False)
    return made


@pytest.fixture(scope="module")
def originals(tuner: FineTuner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {form: tuner.export(folder / form, format=form).folder for form in FORMATS}


@pytest.fixture
def artefacts(originals: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    return {form: shutil.copytree(path, tmp_path / form) for form, path in originals.items()}


def refusal(folder: Path, **options) -> str:
    with pytest.raises(AdapterError) as caught:
        verify(folder, **options)
    assert caught.value.exit_code == 4
    return caught.value.code


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_written_is_what_is_there(artefacts: dict[str, Path], form: str):
    report = verify(artefacts[form])
    assert (report.kind, report.verdict, report.prompts) == (form, "same", 4)
    assert report.rows == (0 if form == "gguf" else 3)
    assert report.largest_difference <= report.tolerance
    assert "golden.json" in report.files


def test_a_run_is_verified_by_its_folder(tuner: FineTuner):
    report = verify(tuner._state.adapter_dir.parent)
    assert (report.kind, report.largest_difference) == ("adapter", 0.0)


@pytest.mark.parametrize("form", ["adapter", "gguf-adapter"])
def test_a_deliberately_wrong_base_of_the_same_shapes_is_refused(artefacts, tmp_path: Path, form: str):
    (tmp_path / "other").mkdir()
    other = write_tiny_model(tmp_path / "other", seed=1)
    assert refusal(artefacts[form], overrides={"base_model.source": str(other)}) == "adapter.base-mismatch"


def test_a_deliberately_wrong_base_under_a_merged_model_is_refused(artefacts, tmp_path: Path):
    (tmp_path / "other").mkdir()
    write_tiny_model(tmp_path / "other", seed=1)
    shutil.copyfile(tmp_path / "other" / "model.safetensors", artefacts["merged"] / "model.safetensors")
    assert refusal(artefacts["merged"]) == "verify.changed-file"
    forge(artefacts["merged"], "model.safetensors")
    assert refusal(artefacts["merged"]) == "verify.differs"


def test_a_wrong_base_whose_fingerprint_was_forged_answers_otherwise(artefacts, tmp_path: Path):
    (tmp_path / "other").mkdir()
    other = write_tiny_model(tmp_path / "other", seed=1)
    from lorasdk.basemodel.fingerprint import weights_fingerprint

    change(artefacts["adapter"], lambda p: p["base_model"].update(fingerprint=weights_fingerprint(other)))
    assert refusal(artefacts["adapter"], overrides={"base_model.source": str(other)}) == "verify.differs"


def test_the_same_base_elsewhere_is_accepted(artefacts, base: Path, tmp_path: Path):
    moved = shutil.copytree(base, tmp_path / "moved")
    assert verify(artefacts["adapter"], overrides=[f"base_model.source={moved}"]).largest_difference == 0.0


def test_a_dropped_key_is_refused(artefacts):
    weights = artefacts["adapter"] / "adapter_model.safetensors"
    drop_a_key(weights)
    assert refusal(artefacts["adapter"]) == "adapter.damaged-weights"
    change(artefacts["adapter"], lambda p: p.update(adapter_sha256=sha256_of(weights)))
    assert refusal(artefacts["adapter"]) == "adapter.missing-weights"


def test_a_dropped_key_of_a_merged_model_is_refused(artefacts):
    drop_a_key(artefacts["merged"] / "model.safetensors")
    assert refusal(artefacts["merged"]) == "verify.changed-file"
    forge(artefacts["merged"], "model.safetensors")
    assert refusal(artefacts["merged"]) == "model.missing-weights"


def test_a_changed_template_is_refused(artefacts, base: Path, tmp_path: Path):
    moved = shutil.copytree(base, tmp_path / "moved")
    (moved / "chat_template.jinja").write_text((base / "chat_template.jinja").read_text() + " ")
    for form in ("adapter", "gguf-adapter"):
        assert refusal(artefacts[form], overrides={"base_model.source": str(moved)}) == "adapter.template-changed"


def test_a_changed_template_of_a_merged_model_is_refused(artefacts):
    template = artefacts["merged"] / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert refusal(artefacts["merged"]) == "verify.changed-file"
    forge(artefacts["merged"], template.name)
    assert refusal(artefacts["merged"]) == "adapter.template-changed"


def test_a_changed_tokenizer_is_refused(artefacts, base: Path, tmp_path: Path):
    moved = shutil.copytree(base, tmp_path / "moved")
    tokenizer = json.loads((moved / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = []
    (moved / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert refusal(artefacts["adapter"], overrides={"base_model.source": str(moved)}) == "verify.other-tokens"


def test_every_file_that_is_absent_changed_or_unknown_is_told_at_once(artefacts):
    folder = artefacts["merged"]
    (folder / "tokenizer.json").unlink()
    (folder / "config.json").write_text("{}")
    (folder / "model-00002.safetensors").write_text("")
    (folder / "NOTES.txt").write_text("mine")
    with pytest.raises(AdapterError) as caught:
        verify(folder)
    codes = {problem.code for problem in caught.value.problems}
    assert codes == {"verify.absent-file", "verify.changed-file", "verify.unknown-file"}
    assert len(caught.value.problems) == 3


def test_rows_that_lived_in_memory_are_not_asked(base: Path, tmp_path: Path):
    rows = {"train": ROWS, "test": ROWS}
    result = tiny_tuner(base, tmp_path, rows=rows, evaluation={"max_overlap": None}).train(evaluate=False)
    events = []
    report = verify(result.adapter_dir, on_event=events.append)
    assert (report.prompts, report.rows, report.largest_difference) == (4, 0, 0.0)
    assert "export.no-test-rows" in [event.code for event in events if isinstance(event, Notice)]
    assert verify(result.adapter_dir, data=rows).rows == 3


def test_rows_that_changed_are_not_asked(artefacts, tuner: FineTuner):
    other = [{"instruction": "say 1", "output": "maybe"}] * 3
    report = verify(
        artefacts["merged"], data={"test": other, "train": other}, overrides={"evaluation.max_overlap": None}
    )
    assert (report.prompts, report.rows) == (4, 0)


def test_an_adapter_that_was_never_recorded_is_checked_as_far_as_it_goes(artefacts):
    (artefacts["adapter"] / "golden.json").unlink()
    change(artefacts["adapter"], lambda p: p.update(files={}, verification=None))
    assert verify(artefacts["adapter"]).verdict == "no-record"


def test_a_labelled_artefact_is_as_far_away_as_its_label_says(artefacts):
    weights = artefacts["merged"] / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"] *= 1.05
    save_file(tensors, weights, metadata={"format": "pt"})
    forge(artefacts["merged"], weights.name)
    assert refusal(artefacts["merged"]) == "verify.differs"
    change(artefacts["merged"], lambda p: p["verification"].update(verdict="differs", largest_difference=5.0))
    assert verify(artefacts["merged"]).verdict == "labelled"


def change(folder: Path, how) -> None:
    path = folder / "lorasdk.json"
    passport = json.loads(path.read_text())
    how(passport)
    path.write_text(json.dumps(passport))


def forge(folder: Path, name: str) -> None:
    change(folder, lambda passport: passport["files"].update({name: sha256_of(folder / name)}))


def drop_a_key(path: Path) -> None:
    tensors = load_file(path)
    del tensors[min(tensors)]
    save_file(tensors, path, metadata={"format": "pt"})
