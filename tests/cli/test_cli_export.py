"""`lorasdk export` and `lorasdk verify`, as a shell or a script uses them."""

import json
from pathlib import Path

import pytest
from tiny_training import ROWS, tiny_tuner

from lorasdk.cli import main


@pytest.fixture(scope="module")
def adapter(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tuner = tiny_tuner(tiny_model_dir, tmp_path_factory.mktemp("runs"), rows={"train": ROWS})
    return tuner.train().adapter_dir


@pytest.fixture
def run(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


def test_an_export_says_where_it_is_and_how_far_apart(run, adapter: Path):
    code, out, err = run("export", adapter, "out")
    assert (code, "out (merged, float32, merged into the original weights): at most" in out) == (0, True)
    assert "export.verified" in err or "read back from the disk" in err


def test_an_export_is_one_json_document_for_machines(run, adapter: Path):
    code, out, _ = run("export", adapter, "out", "--format", "gguf", "--dtype", "f32", "--json")
    document = json.loads(out)
    assert (code, document["format"], document["dtype"], document["verdict"]) == (0, "gguf", "f32", "same")
    assert {"tiny-f32.gguf", "Modelfile", "golden.json", "lorasdk.json"} <= set(document["files"])


def test_I100_nothing_is_overwritten_unasked(run, adapter: Path):
    run("export", adapter, "out", "--format", "adapter")
    code, _, err = run("export", adapter, "out")
    assert (code, "--overwrite" in err) == (4, True)
    assert run("export", adapter, "out", "--overwrite")[0] == 0


def test_an_unknown_format_is_wrong_input(run, adapter: Path):
    code, _, err = run("export", adapter, "out", "--format", "onnx")
    assert (code, "gguf-adapter" in err) == (2, True)


def test_verify_says_what_was_compared(run, adapter: Path):
    code, out, _ = run("verify", adapter)
    assert (code, "it answers 4 fixed prompts as was recorded (at most 0 nats apart" in out) == (0, True)
    code, out, _ = run("verify", adapter, "--json")
    assert (code, json.loads(out)["kind"], json.loads(out)["verdict"]) == (0, "adapter", "same")


def test_verify_exits_with_4_when_something_is_not_as_it_was(run, adapter: Path):
    run("export", adapter, "out")
    Path("out/config.json").write_text("{}")
    code, out, err = run("verify", "out", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (4, "verify.changed-file")
    assert "Traceback" not in err
