import io
import json
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from tiny_training import ROWS, tiny_recipe, tiny_tuner

from lorasdk.cli import chat, main
from lorasdk.cli.interrupts import stop_on_interrupt
from lorasdk.cli.shipped import shipped_recipe
from lorasdk.stopping import StopToken

WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def recipe(tiny_model_dir: Path, tmp_path: Path, monkeypatch) -> Path:
    for name, value in WIDE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    written = tiny_recipe(tiny_model_dir, tmp_path / "runs", data={"train": "rows.jsonl", "test": 2})
    (tmp_path / "recipe.json").write_text(json.dumps(written))
    return tmp_path / "recipe.json"


@pytest.fixture
def run(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


def test_validate_says_that_a_recipe_is_valid(run, recipe: Path):
    code, out, _ = run("validate", recipe)
    assert (code, "is valid: tiny" in out) == (0, True)
    code, out, _ = run("validate", recipe, "--json")
    assert (code, json.loads(out)["name"]) == (0, "tiny")


def test_errors_go_to_standard_error_without_a_traceback(run, recipe: Path):
    code, out, err = run("validate", recipe, "--set", "lora.rnk=4")
    assert (code, out) == (2, "")
    assert "did you mean 'rank'?" in err
    assert "Traceback" not in err


def test_R22_a_misspelt_override_and_one_without_value_are_explained(run, recipe: Path):
    code, _, err = run("validate", recipe, "--set", "train.rnk=4")
    assert (code, "did you mean 'training'?" in err) == (2, True)
    code, _, err = run("validate", recipe, "--set", "lora.rank=")
    assert (code, "value" in err, "missing" in err) == (2, True, True)


def test_errors_are_one_json_document_for_machines(run, recipe: Path):
    code, out, _ = run("validate", recipe, "--json", "--set", "lora.rank=0")
    error = json.loads(out)["error"]
    assert (code, error["code"], error["problems"][0]["field"]) == (2, "recipe.bad-value", "lora.rank")


def test_schema_is_json(run):
    code, out, _ = run("schema")
    assert (code, json.loads(out)["title"]) == (0, "lorasdk recipe")


def test_preview_marks_what_is_trained_on_without_colours_too(run, recipe: Path):
    code, out, _ = run("preview", recipe, "--rows", "1")
    assert code == 0
    assert "⟦yes<|im_end|>⟧" in out or "⟦no no<|im_end|>⟧" in out
    assert "trained on" in out


def test_preview_as_json_has_spans_and_counts(run, recipe: Path):
    code, out, _ = run("preview", recipe, "--rows", "1", "--json")
    row = json.loads(out)["rows"][0]
    assert (code, row["split"], row["row"]) == (0, "train", 1)
    assert sum(span["tokens"] for span in row["spans"] if span["supervised"]) == row["supervised_tokens"]


def test_train_evaluate_and_infer_follow_each_other(run, recipe: Path):
    code, out, err = run("train", recipe, "--json")
    summary = json.loads(out)
    assert (code, summary["steps"], summary["stopped"]) == (0, 2, "finished")
    assert "training 2/2 loss" in err
    code, out, _ = run("evaluate", summary["adapter_dir"], "--json")
    assert (code, json.loads(out)["rows"]) == (0, 2)
    code, out, err = run("infer", "runs/tiny", "say 1", "say 2", "--json")
    assert (code, len(json.loads(out)["completions"]), err) == (0, 2, "")


def test_infer_reads_standard_input_and_asks_the_base(run, tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    result = tuner.train()
    monkeypatch.setattr(sys, "stdin", io.StringIO("say 3"))
    code, out, _ = run("infer", result.adapter_dir, "-", "--base")
    assert (code, out) == (0, tuner.infer("say 3", adapter=False).text + "\n")


def test_a_damaged_adapter_exits_with_4(run, tmp_path: Path):
    (tmp_path / "lorasdk.json").write_text("{")
    code, _, err = run("infer", tmp_path, "hi")
    assert (code, "adapter.damaged-passport" in err) == (4, True)


def test_chat_answers_forgets_and_ends(run, tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    tuner = tiny_tuner(tiny_model_dir, tmp_path)
    result = tuner.train()
    asked, stream = [], type(tuner).stream

    def spy(self, prompt, **settings):
        asked.append(len(prompt))
        return stream(self, prompt, **settings)

    monkeypatch.setattr(type(tuner), "stream", spy)
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\nand?\n/reset\nhi\n/quit\n"))
    code, out, _ = run("chat", result.adapter_dir)
    answer = tuner.infer("hi").text
    assert (code, asked) == (0, [1, 3, 1])
    assert out.startswith(answer + "\n")
    assert out.endswith(answer + "\n")


def test_chat_ends_at_the_end_of_input(run, tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    result = tiny_tuner(tiny_model_dir, tmp_path).train()
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("chat", result.adapter_dir)[0] == 0
    assert chat.__doc__


def test_the_first_interrupt_asks_the_second_ends(capsys):
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as token:
        signal.raise_signal(signal.SIGINT)
        assert token.stopped
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "again" in capsys.readouterr().err


def test_the_demo_runs_the_main_job_and_shows_both_sides(run, recipe: Path, tiny_model_dir: Path, tmp_path: Path):
    small = [
        f"base_model.source={tiny_model_dir}",
        "training.epochs=null",
        "training.max_steps=2",
        "data.train.max_rows=8",
        "evaluation.max_rows=4",
        "generation.max_new_tokens=2",
    ]
    code, out, err = run("demo", *(part for change in small for part in ("--set", change)))
    assert code == 0
    assert "untouched base" in out
    assert "4 held-out rows" in out
    assert "trainable parameters" in err
    assert (tmp_path / "runs" / "wordnet-kinds" / "run-0001" / "adapter" / "lorasdk.json").is_file()


def test_shipped_recipes_are_found_in_a_checkout():
    assert shipped_recipe("wordnet-kinds").is_file()


def test_python_m_lorasdk_is_the_same_program():
    import subprocess

    done = subprocess.run([sys.executable, "-m", "lorasdk", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout


def test_a_training_goes_on_where_it_was_stopped(run, recipe: Path, monkeypatch):
    stop = StopToken()
    monkeypatch.setattr("lorasdk.cli.train.stop_on_interrupt", lambda: nullcontext(stop))
    stop.stop()
    stopped = json.loads(run("train", recipe, "--json")[1])
    monkeypatch.setattr("lorasdk.cli.train.stop_on_interrupt", lambda: nullcontext(StopToken()))
    resumed = json.loads(run("train", recipe, "--resume", "must", "--json")[1])
    assert (stopped["stopped"], resumed["stopped"]) == ("requested", "finished")
    assert Path(stopped["adapter_dir"]).parent == Path(resumed["adapter_dir"]).parent
    code, _, err = run("train", recipe, "--resume", "must")
    assert (code, "checkpoint.nothing-to-resume" in err) == (4, True)
