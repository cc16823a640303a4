"""P94: a secret goes from the environment to whoever needs it and leaves no trace anywhere else.

One canary is the recipe's own token, another an option of a loader. Whatever a training writes, says, logs or raises is
searched for both.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
from tiny_training import tiny_recipe

from lorasdk import FineTuner, LorasdkError, load_recipe
from lorasdk.events import StepFinished
from lorasdk.records import error_record, event_record

CANARIES = ("hf_canary_of_the_recipe", "key_canary_of_the_loader")
PLUGIN = """
from pydantic import BaseModel, ConfigDict, SecretStr
from lorasdk import hookimpl

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: SecretStr
    fail: bool = False

class Guarded:
    name = "guarded"
    summary = "rows for who has the key"
    Options = Options

    def check(self, options, context):
        return []

    def load(self, options, context):
        assert options.key.get_secret_value() == "key_canary_of_the_loader"
        for number in range(8):
            if options.fail and number == 5:
                raise ConnectionError("the server is gone")
            yield {"instruction": f"say {number}", "output": "yes"}

@hookimpl
def data_loaders():
    return [Guarded()]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch):
    (tmp_path / "guarded_rows.py").write_text(PLUGIN)
    monkeypatch.setenv("CANARY_KEY", CANARIES[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    import guarded_rows

    yield guarded_rows
    del sys.modules["guarded_rows"]


def recipe_text(model: Path, output: Path, *, fail: bool) -> str:
    recipe = tiny_recipe(model, output, training={"max_steps": 300 if fail else 3, "checkpoint_every_steps": 1})
    recipe["base_model"]["token"] = "${env:CANARY_TOKEN}"
    recipe["data"] = {"train": {"loader": "guarded", "key": "${env:CANARY_KEY}", "fail": fail}}
    return json.dumps(recipe)


def leaks(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def leaks_on_disk(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    return [path for path in files if any(canary.encode() in path.read_bytes() for canary in CANARIES)]


def told(error: BaseException) -> str:
    records = json.dumps(error_record(error)) if isinstance(error, LorasdkError) else ""
    return "".join([str(error), repr(error), records, *traceback.format_exception(error)])


def tuner_with_secrets(model: Path, output: Path, plugin: ModuleType, *, fail: bool) -> FineTuner:
    with pytest.MonkeyPatch.context() as patch:  # what another process inherits from the host is the host's
        patch.setenv("CANARY_TOKEN", CANARIES[0])
        recipe = load_recipe(recipe_text(model, output, fail=fail))
        return FineTuner.from_recipe(recipe, plugins=[plugin], discover=False)


@pytest.mark.parametrize(
    ("isolation", "fail"), [("thread", False), ("thread", True), ("process", False), ("process", True)]
)
def test_P94_a_secret_leaves_no_trace(tiny_model_dir, tmp_path: Path, plugin, caplog, *, isolation: str, fail: bool):
    tuner = tuner_with_secrets(tiny_model_dir, tmp_path / "runs", plugin, fail=fail)
    said, processes = [repr(tuner), str(tuner)], []
    with caplog.at_level(logging.DEBUG):
        run = tuner.start(isolation=isolation)
        for event in run.events():
            said += [repr(event), json.dumps(event_record(event))]
            processes += seen_from_outside() if isinstance(event, StepFinished) else []
        try:
            result = run.result(100)
        except LorasdkError as error:
            ended = error.code
            said.append(told(error))
        else:
            ended = result.stopped
            said += [repr(result), str(dataclasses.asdict(result))]
    assert ended == ("data.loader-failed" if fail else "finished")
    said += [repr(record.__dict__) for record in caplog.records]
    assert leaks("".join(said)) == []
    assert CANARIES[0] not in "".join(processes)
    assert leaks("".join(processes[::2])) == []  # arguments; an option's variable is the host's own and inherited
    assert leaks_on_disk(tmp_path) == []
    assert isolation == "thread" or fail or processes


def seen_from_outside() -> list[str]:
    """Arguments and environment, in turn, of the processes that this one has started, as their user sees them."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        return []
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            for name in ("cmdline", "environ"):
                try:
                    found.append(Path(f"/proc/{pid}/{name}").read_bytes().decode("utf-8", "replace"))
                except OSError:  # it has ended meanwhile
                    found.append("")
    return found


def test_P94_a_recipe_that_is_wrong_elsewhere_does_not_tell_its_secrets(monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", CANARIES[0])
    text = "name: x\nbase_model: {token: '${env:CANARY_TOKEN}', dtype: 7}\ndata: {train: a.jsonl}\nlora: {rank: -1}\n"
    with pytest.raises(LorasdkError) as caught:
        load_recipe(text)
    assert leaks(told(caught.value)) == []


def test_a_loaders_secret_that_is_written_out_is_refused_and_not_quoted(tiny_model_dir, tmp_path, plugin):
    recipe = tiny_recipe(tiny_model_dir, tmp_path)
    recipe["data"] = {"train": {"loader": "guarded", "key": CANARIES[1]}}
    with pytest.raises(LorasdkError) as caught:
        FineTuner.from_recipe(recipe, plugins=[plugin], discover=False)
    assert leaks(told(caught.value)) == []
