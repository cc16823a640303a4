"""Runs in a process of their own, with real processes: each costs seconds, so each shows several things."""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest
from pydantic import SecretStr
from tiny_training import ROWS, tiny_recipe, tiny_tuner

from lorasdk import (
    DataError,
    FineTuner,
    PluginError,
    ResourceError,
    StepFinished,
    StopToken,
    TrainingError,
    hookimpl,
)
from lorasdk.background import child_process
from lorasdk.errors import LorasdkError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for what is left in /proc")

ENDLESS = {"training": {"max_steps": 1_000_000}}
TOKEN = "hf_canary_12345678"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch):
    """The other process keeps its cache and its temporary files here too."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))


def belongings(tmp_path: Path) -> dict[str, object]:
    """What a run must not leave behind."""
    gc.collect()
    return {
        "descriptors": sorted(map(str, Path("/proc/self/fd").iterdir())),
        "temporary files": list((tmp_path / "temporary").iterdir()),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
    }


def first_step(run) -> None:
    next(event for event in run.events() if isinstance(event, StepFinished))


@pytest.fixture
def started(monkeypatch) -> list[subprocess.Popen]:
    """The processes that are started, with what they are told."""
    processes, popen = [], subprocess.Popen

    def spy(*arguments, **options):
        processes.append(popen(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(child_process.subprocess, "Popen", spy)
    return processes


def test_it_gives_what_train_gives_and_leaves_nothing(tiny_model_dir, tmp_path: Path, capfd, started, monkeypatch):
    section = {"base_model": {"token": SecretStr(TOKEN)}, "lora": {"dropout": 0.1}}
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs", **section)
    expected = tuner.train()
    (tmp_path / "json.py").write_text("raise ImportError('a file of the folder that the host stands in')")
    monkeypatch.chdir(tmp_path)
    heard, mine = [], belongings(tmp_path)
    run = tuner.start(isolation="process", on_event=heard.append)
    assert os.getsid(started[0].pid) != os.getsid(0)  # Ctrl-C in a terminal does not reach it
    secret_places = [Path(f"/proc/{started[0].pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    result = run.result(100)
    assert belongings(tmp_path) == mine
    assert capfd.readouterr() == ("", "")
    assert not [place for place in secret_places if TOKEN.encode() in place]
    one, other = (each.adapter_dir / "adapter_model.safetensors" for each in (expected, result))
    assert one.read_bytes() == other.read_bytes()
    assert [point.loss for point in result.history] == [point.loss for point in expected.history]
    assert list(run.events()) == heard
    assert [event.step for event in heard if isinstance(event, StepFinished)] == [1, 2]
    assert (run.status, run.run_dir) == ("finished", result.run_dir)
    assert tuner.infer("hi").text == FineTuner.from_adapter(result.adapter_dir).infer("hi").text


def test_a_killed_process_is_an_error_that_says_where_it_was(tiny_model_dir: Path, tmp_path: Path, started):
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs", **ENDLESS)
    mine = belongings(tmp_path)
    run = tuner.start(isolation="process")
    first_step(run)
    started[0].send_signal(signal.SIGKILL)
    with pytest.raises(ResourceError) as caught:
        run.result(60)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place, run.status) == ("run.killed", str(run.run_dir), "failed")
    assert "after step" in problem.found
    assert "resume" in problem.fix
    assert belongings(tmp_path) == mine
    with pytest.raises(TrainingError) as busy:
        tuner.start(isolation="container")
    assert busy.value.code == "run.unknown-isolation"  # and not tuner.busy: the tuner is free again


WHEREABOUTS = """
import os, pathlib
from lorasdk import hookimpl
@hookimpl
def on_event(event):
    with pathlib.Path(__file__).with_suffix(".txt").open("a") as file:
        print(os.getpid(), file=file)
"""


def test_the_hosts_token_stops_it_and_what_was_learnt_is_saved(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "whereabouts.py").write_text(WHEREABOUTS)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = importlib.import_module("whereabouts")
    recipe = tiny_recipe(tiny_model_dir, tmp_path / "runs", **ENDLESS)
    tuner = FineTuner.from_recipe(recipe, data={"train": ROWS}, plugins=[plugin])
    noticed = []
    run = tuner.start(isolation="process", stop=StopToken(when=lambda: bool(noticed)))
    first_step(run)
    noticed.append("this machine will be taken away")
    result = run.result(60)
    assert (result.stopped, run.status) == ("requested", "stopped")
    assert (result.adapter_dir / "lorasdk.json").is_file()
    processes = set((tmp_path / "whereabouts.txt").read_text().split())
    assert len(processes) == 1
    assert str(os.getpid()) not in processes


def test_bad_rows_raise_the_error_of_train(tiny_model_dir: Path, tmp_path: Path):
    rows = {"train": [*ROWS, {"instruction": "a", "output": ""}, {"instruction": "数据"}]}
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs", rows=rows)
    with pytest.raises(LorasdkError) as expected:
        tuner.train()
    run = tuner.start(isolation="process")
    with pytest.raises(type(expected.value)) as caught:
        run.result(60)
    assert caught.value.problems == expected.value.problems


DIES = """
import json, os, signal, sys
from lorasdk import FineTuner, StepFinished
tuner = FineTuner.from_recipe(json.loads(sys.argv[1]), data={"train": [{"instruction": "a", "output": "b"}] * 8})
run = tuner.start(isolation="process")
next(event for event in run.events() if isinstance(event, StepFinished))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_when_the_host_dies_what_was_learnt_is_saved(tiny_model_dir: Path, tmp_path: Path):
    recipe = json.dumps(tiny_recipe(tiny_model_dir, tmp_path / "runs", **ENDLESS))
    done = subprocess.run([sys.executable, "-c", DIES, recipe], check=False, timeout=100)
    assert done.returncode == -signal.SIGKILL
    passport = tmp_path / "runs" / "tiny" / "run-0001" / "adapter" / "lorasdk.json"
    deadline = time.monotonic() + 60
    while not passport.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def crash_with(monkeypatch, program: str) -> None:
    """Let the process be another program than ours."""
    popen = subprocess.Popen

    def other(arguments, **options):
        return popen([sys.executable, "-c", program, *arguments[-2:]], **options)

    monkeypatch.setattr(child_process.subprocess, "Popen", other)


def test_what_a_process_started_may_outlive_it(tiny_model_dir, tmp_path, monkeypatch):
    crash_with(
        monkeypatch,
        """
import os, subprocess, sys
print("gone", flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"], pass_fds=[int(sys.argv[1])])
os._exit(3)
""",
    )
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs")
    began = time.monotonic()
    with pytest.raises(TrainingError) as caught:
        tuner.start(isolation="process").result(20)
    assert time.monotonic() - began < 4
    assert "exit code 3" in str(caught.value)
    assert caught.value.problems[0].found.endswith("gone")


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("import sys; print('x' * 100_000); sys.exit('the last words')", "exit code 1"),
        ("import os, sys; print('the last words', flush=True); os.kill(os.getpid(), 11)", "Segmentation fault"),
    ],
)
def test_a_crash_is_an_error_with_the_last_words(tiny_model_dir, tmp_path, monkeypatch, program, how):
    crash_with(monkeypatch, program)
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs")
    mine = belongings(tmp_path)
    with pytest.raises(TrainingError) as caught:
        tuner.start(isolation="process").result(60)
    (problem,) = caught.value.problems
    assert problem.code == "run.crashed"
    assert how in problem.message
    assert problem.found.endswith("the last words")
    assert len(problem.found) < 5_000
    assert belongings(tmp_path) == mine


def test_a_process_that_does_not_end_after_its_last_word_is_ended(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(child_process, "EXIT_SECONDS", 0.1)
    record = '{"error":"DataError","version":1,"problems":[{"code":"a.b","message":"c"}]}'
    program = f"""
import os, sys, time
os.write(int(sys.argv[1]), {record!r}.encode() + b"\\n")
os.close(int(sys.argv[1]))
time.sleep(60)
"""
    crash_with(monkeypatch, program)
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs")
    with pytest.raises(DataError) as caught:
        tuner.start(isolation="process").result(20)
    assert caught.value.code == "a.b"


class Watching:
    @hookimpl
    def on_event(self, event):
        """Hear nothing."""


@pytest.mark.parametrize("plugin", [Watching(), types.ModuleType("made_here")])
def test_a_plugin_that_lives_in_this_process_is_refused_at_once(tiny_model_dir, tmp_path, plugin):
    if isinstance(plugin, types.ModuleType):
        plugin.on_event = Watching().on_event
    recipe = tiny_recipe(tiny_model_dir, tmp_path)
    tuner = FineTuner.from_recipe(recipe, data={"train": ROWS}, plugins=[plugin])
    with pytest.raises(PluginError) as caught:
        tuner.start(isolation="process")
    assert caught.value.code == "run.plugin-cannot-cross"
    assert "isolation='thread'" in caught.value.problems[0].fix


def test_a_row_that_is_no_data_is_refused_at_once(tiny_model_dir, tmp_path):
    rows = [*ROWS, {"instruction": b"bytes", "output": "x"}]
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs", rows={"train": rows})
    mine = belongings(tmp_path)
    with pytest.raises(DataError) as caught:
        tuner.start(isolation="process")
    assert (caught.value.code, caught.value.problems[0].place) == ("run.row-cannot-cross", "train rows row 11")
    assert belongings(tmp_path) == mine


def test_where_no_process_is_possible_it_is_refused_in_words(tiny_model_dir, tmp_path, monkeypatch):
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs")
    mine = belongings(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(child_process, "os", types.SimpleNamespace(**{**vars(os), "name": "nt"}))
        with pytest.raises(TrainingError) as caught:
            tuner.start(isolation="process")
    assert caught.value.code == "run.no-processes-here"
    assert belongings(tmp_path) == mine


def test_a_system_that_gives_no_process_is_named(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    tuner = tiny_tuner(tiny_model_dir, tmp_path / "runs")
    mine = belongings(tmp_path)
    with pytest.raises(ResourceError) as caught:
        tuner.start(isolation="process")
    assert caught.value.code == "run.not-started"
    assert belongings(tmp_path) == mine
