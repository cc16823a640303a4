"""What leaves is read back from the disk and answers like the model that it was made from, or it does not leave."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_model import write_tiny_model
from tiny_training import ROWS, tiny_tuner

from lorasdk import AdapterError, FineTuner, InferenceError, Notice
from lorasdk.artifacts import merged_format
from lorasdk.artifacts.export_passport import read_any_passport
from lorasdk.artifacts.tolerances import TOLERANCES
from lorasdk.basemodel.quiet import quiet

IDS = torch.tensor([[1, 5, 9, 20, 2]])
FORMATS = ("merged", "adapter", "gguf", "gguf-adapter")


def log_probabilities(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits.float().log_softmax(-1)


def load(folder: Path):
    from transformers import AutoModelForCausalLM

    with quiet():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tuner(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuner:
    made = tiny_tuner(
        tiny_model_dir,
        tmp_path_factory.mktemp("runs"),
        rows={"train": ROWS, "test": ROWS},
        lora={"targets": ["q_proj", "v_proj"]},
        evaluation={"max_overlap": None},
    )
    made.train(evaluate=False)
    return made


def own(tuner: FineTuner):
    return log_probabilities(tuner._state._bench.model)


def test_the_merged_model_answers_like_base_and_adapter(tuner: FineTuner, tmp_path: Path):
    result = tuner.export(tmp_path / "merged")
    torch.testing.assert_close(log_probabilities(load(result.folder)), own(tuner), rtol=0, atol=1e-3)
    assert {"tokenizer.json", "config.json", "chat_template.jinja", "generation_config.json"} <= set(result.files)
    assert (result.verdict, result.prompts, result.rows, result.base) == ("same", 4, 3, "original")
    assert 0 <= result.largest_difference < result.tolerance


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_back_and_has_a_passport(tuner: FineTuner, tmp_path: Path, form: str):
    result = tuner.export(tmp_path / form, format=form)
    passport = read_any_passport(result.folder)
    assert (passport.kind, passport.verification.verdict) == (form, "same")
    assert passport.verification.largest_difference == result.largest_difference
    assert passport.files.keys() >= {"golden.json"}
    if form == "adapter":
        assert result.largest_difference == 0.0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_merged_model_can_be_written_in_half_the_bytes(tuner: FineTuner, tmp_path: Path, dtype: str):
    result = tuner.export(tmp_path / "half", dtype=dtype)
    assert 0 < result.largest_difference < result.tolerance == TOLERANCES[dtype]
    assert json.loads((result.folder / "config.json").read_text())["dtype"] == dtype


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_M57_a_quantised_training_is_merged_onto_the_base_that_measures_closer(tmp_path: Path, quantization: str):
    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    tuner = tiny_tuner(wide, tmp_path, base_model={"quantization": quantization}, training={"max_steps": 8})
    result, events = tuner.train(), []
    export = tuner.export(tmp_path / "merged", on_event=events.append)
    assert [e.code for e in events if isinstance(e, Notice)] == ["export.base-chosen", "export.verified"]
    assert export.base == min(export.distances, key=export.distances.get) == "dequantised"
    merged, trained = log_probabilities(load(export.folder)), own(tuner)
    with FineTuner.from_adapter(result.adapter_dir, overrides={"base_model.quantization": "none"}) as full:
        full.infer("hi")
        original = own(full)
    assert (merged - trained).abs().max() < (original - trained).abs().max()
    passport = read_any_passport(export.folder)
    assert passport.merging.distances == export.distances
    assert own(tuner).equal(trained)  # the model that answers was only looked at


def test_the_original_weights_are_taken_where_they_are_closer(tmp_path: Path, monkeypatch):
    (tmp_path / "wide").mkdir()
    wide = write_tiny_model(tmp_path / "wide", hidden=64)
    tuner = tiny_tuner(wide, tmp_path, base_model={"quantization": "nf4"})
    tuner.train()
    from lorasdk.artifacts import merging

    distances = iter([0.1, 0.2])
    monkeypatch.setattr(merging, "mean_divergence", lambda *_said: next(distances))
    assert tuner.export(tmp_path / "merged").base == "original"
    with FineTuner.from_adapter(tmp_path / "tiny", overrides={"base_model.quantization": "none"}) as full:
        full.infer("hi")
        torch.testing.assert_close(log_probabilities(load(tmp_path / "merged")), own(full), rtol=0, atol=1e-3)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("saved", [[], ["embed_tokens", "lm_head"], ["embed_tokens"]], ids=str)
def test_tied_and_untied_embeddings_and_added_tokens_are_merged_right(tmp_path: Path, tied: bool, saved: list[str]):
    base = with_added_token(write_tiny_model(make(tmp_path / "base")), tied=tied)
    tuner = tiny_tuner(base, tmp_path, lora={"modules_to_save": saved}, training={"max_steps": 4})
    tuner.train()
    export = tuner.export(tmp_path / "merged")
    merged = load(export.folder)
    torch.testing.assert_close(log_probabilities(merged), own(tuner), rtol=0, atol=1e-3)
    assert merged.get_input_embeddings().weight.shape[0] == 321
    together = merged.get_input_embeddings().weight is merged.get_output_embeddings().weight
    assert together == (tied and not saved)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def with_added_token(folder: Path, *, tied: bool) -> Path:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|tool|>"]})
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(321)
        if not tied:
            model.config.tie_word_embeddings = False
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 1.5)
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("template", ["alpaca", "own.jinja"])
def test_the_template_of_the_training_goes_along(tiny_model_dir: Path, tmp_path: Path, template: str, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.chdir(tmp_path)
    source = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>\n{% endfor %}"
    (tmp_path / "own.jinja").write_text(source + "{% if add_generation_prompt %}assistant: {% endif %}\n")
    tuner = tiny_tuner(tiny_model_dir, tmp_path, base_model={"chat_template": template})
    tuner.train()
    folder = tuner.export(tmp_path / "merged").folder
    wanted = tuner._state._bench.encoder.renderer.template.source
    with quiet():
        assert AutoTokenizer.from_pretrained(folder).chat_template == wanted
    assert tuner._state._bench.encoder.tokenizer.chat_template != wanted


def test_the_merged_model_ends_its_answers_where_ours_ends_them(tuner: FineTuner, tmp_path: Path):
    folder = tuner.export(tmp_path / "merged").folder
    ends = load(folder).generation_config.eos_token_id
    assert set(tuner._state._bench.encoder.stop_ids) <= {*([ends] if isinstance(ends, int) else ends)}


def test_peft_itself_loads_an_exported_adapter(tuner: FineTuner, tiny_model_dir: Path, tmp_path: Path):
    from peft import PeftModel

    folder = tuner.export(tmp_path / "adapter", format="adapter").folder
    with quiet():
        plain = PeftModel.from_pretrained(load(tiny_model_dir), folder)
    assert log_probabilities(plain.eval()).equal(own(tuner))


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_I103_a_fresh_process_gives_the_same_bits(tuner: FineTuner, tiny_model_dir: Path, tmp_path: Path, form: str):
    folder = tuner.export(tmp_path / form, format=form).folder
    program = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM\n"
        "from peft import PeftModel\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(folder if form == 'merged' else tiny_model_dir)!r})\n"
        f"model = PeftModel.from_pretrained(model, {str(folder)!r}) if {form == 'adapter'} else model\n"
        f"with torch.inference_mode():\n    logits = model.eval()(input_ids=torch.tensor({IDS.tolist()})).logits\n"
        "sys.stdout.write(logits.numpy().tobytes().hex())\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    with torch.inference_mode():
        here = load(folder) if form == "merged" else tuner._state._bench.model
        assert done.stdout == here(input_ids=IDS).logits.numpy().tobytes().hex()


def refusal(tuner: FineTuner, folder: Path, **options) -> str:
    with pytest.raises((AdapterError, InferenceError)) as caught:
        tuner.export(folder, **options)
    return caught.value.code


def test_I100_a_folder_with_content_is_not_touched(tuner: FineTuner, tmp_path: Path):
    mine = make(tmp_path / "merged") / "mine.txt"
    mine.write_text("mine")
    assert refusal(tuner, mine.parent) == "export.not-empty"
    assert refusal(tuner, mine.parent, overwrite=True) == "export.not-an-artefact"
    assert mine.read_text() == "mine"


def test_I100_an_artefact_is_replaced_whole_when_that_is_asked(tuner: FineTuner, tmp_path: Path):
    tuner.export(tmp_path / "out")
    result = tuner.export(tmp_path / "out", format="adapter", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert set(result.files) == {path.name for path in result.folder.iterdir()}
    assert "config.json" not in result.files


def test_an_interrupted_replacement_leaves_the_old_artefact(tuner: FineTuner, tmp_path: Path, monkeypatch):
    folder = tuner.export(tmp_path / "out").folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(merged_format, "load_merged", lambda _folder: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tuner.export(folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_an_export_onto_what_it_is_made_from_is_refused(tuner: FineTuner):
    adapter = tuner._state.adapter_dir
    for folder in (adapter, adapter.parent, adapter / "inside"):
        assert refusal(tuner, folder, overwrite=True) == "export.onto-itself"


@pytest.mark.parametrize("options", [{"format": "onnx"}, {"dtype": "int3"}, {"format": "gguf", "dtype": "float32"}])
def test_an_unknown_format_or_type_is_told_with_those_there_are(tuner: FineTuner, tmp_path: Path, options):
    assert refusal(tuner, tmp_path / "out", **options) in {"export.unknown-format", "export.unknown-dtype"}


def test_a_merged_model_that_differs_is_refused_and_leaves_nothing(tuner: FineTuner, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(merged_format, "TOLERANCES", {"float32": -1.0})
    assert refusal(tuner, tmp_path / "merged") == "export.differs"
    assert list(tmp_path.iterdir()) == []


def test_one_that_differs_is_kept_on_request_and_labelled(tuner: FineTuner, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(merged_format, "TOLERANCES", {"float32": -1.0})
    events = []
    result = tuner.export(tmp_path / "merged", on_difference="label", on_event=events.append)
    assert [e.code for e in events if isinstance(e, Notice)] == ["export.labelled"]
    assert (result.verdict, read_any_passport(result.folder).verification.verdict) == ("differs", "differs")
    assert "does not answer like the model" in (result.folder / "README.md").read_text()


def test_without_its_rows_an_adapter_is_compared_on_fixed_prompts(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    settings = {"data": {"train": "train.jsonl", "test": "test.jsonl"}, "evaluation": {"max_overlap": None}}
    result = tiny_tuner(tiny_model_dir, tmp_path, rows={}, **settings).train(evaluate=False)
    (tmp_path / "test.jsonl").unlink()
    events = []
    with FineTuner.from_adapter(result.adapter_dir) as later:
        export = later.export(tmp_path / "merged", on_event=events.append)
    assert "export.no-test-rows" in [e.code for e in events if isinstance(e, Notice)]
    assert (export.prompts, export.rows) == (4, 0)


def test_an_export_does_not_hold_up_answers(tuner: FineTuner, tmp_path: Path):
    assert tuner.export(tmp_path / "merged").verdict == "same"
    assert not tuner._state._loading._is_owned()
