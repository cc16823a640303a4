import importlib
import json
import sys
import types
from pathlib import Path

import pytest
from tiny_training import ROWS, tiny_recipe

from lorasdk import DataError, PluginError, hookimpl, load_recipe
from lorasdk.background.job import Job, read_rows, write_rows
from lorasdk.background.plugin_reference import PluginReference
from lorasdk.contracts import Row
from lorasdk.plugins import build_manager
from lorasdk.plugins.functions import with_functions
from lorasdk.train_options import TrainOptions
from lorasdk.tuner.opening import open_recipe


def state_of(tmp_path: Path, *, rows=None, **found_with):
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_text("")
    recipe = load_recipe(tiny_recipe(tmp_path / "model", tmp_path / "runs"))
    manager = build_manager(**found_with)
    return open_recipe(recipe, manager, rows={"train": ROWS} if rows is None else rows, trust_remote_code=True)


@pytest.mark.parametrize("resume", ["auto", Path("/runs/auto")])
def test_a_job_comes_back_as_it_was(tmp_path: Path, resume):
    found_with = {"discover": False, "blocked": iter(["bad"]), "allowed": iter(["good", "better"])}
    options = TrainOptions(resume, ("versions", "training.epochs"))
    job = Job.of(state_of(tmp_path, **found_with), {"train": 10}, options)
    assert Job.read(job.line()) == job
    assert (job.discover, job.blocked, job.allowed) == (False, {"bad"}, {"good", "better"})
    assert (job.trust_remote_code, job.options) == (True, options)
    assert job.line().count(b"\n") == 1


def test_a_module_goes_by_its_name(tmp_path: Path, monkeypatch):
    (tmp_path / "my_plugin.py").write_text(
        "from lorasdk import hookimpl\n@hookimpl\ndef on_event(event):\n    '''Hear nothing.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    my_plugin = importlib.import_module("my_plugin")
    monkeypatch.delitem(sys.modules, "my_plugin")
    monkeypatch.setitem(sys.modules, "my_plugin", my_plugin)
    job = Job.of(state_of(tmp_path, plugins=[my_plugin]), {}, TrainOptions())
    assert [reference.plugin() for reference in Job.read(job.line()).plugins] == [my_plugin]


def test_the_program_itself_is_no_module_to_import_again(tmp_path: Path, monkeypatch):
    main = types.ModuleType("__main__")
    main.on_event = hookimpl(lambda event: None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    state = state_of(tmp_path, plugins=[main])
    with pytest.raises(PluginError):
        Job.of(state, {}, TrainOptions())


def test_a_module_that_the_other_process_does_not_find_is_named():
    with pytest.raises(PluginError) as caught:
        PluginReference("module", "a_module_that_is_not_there").plugin()
    assert (caught.value.code, caught.value.problems[0].place) == (
        "plugin.failed-to-load",
        "a_module_that_is_not_there",
    )


class Mine(dict):
    """Some mapping of the host's."""


ODD: list[Row] = [
    {"instruction": "数据", "output": "half of a pair: \ud83d"},
    {"n": 1.5, "nothing": None, "nan": float("nan"), "tools": [{"name": "f"}]},
    Mine(instruction="a", output="b"),
    types.MappingProxyType({"instruction": "c", "meta": types.MappingProxyType({"d": 1})}),
]


def test_rows_come_back_as_they_were_by_split(tmp_path: Path):
    state = state_of(tmp_path, rows={"train": iter(ODD), "test": ROWS[:2]})
    file, counts = write_rows(state)
    with file:
        back = read_rows(file, counts)
    assert counts == {"train": 4, "test": 2}
    plain = [json.loads(json.dumps(row, default=dict)) for row in ODD]
    assert repr(back) == repr({"test": ROWS[:2], "train": plain})


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_a_row_that_is_no_data_is_named(tmp_path: Path, value):
    state = state_of(tmp_path, rows={"train": [*ROWS, {"instruction": value}]})
    with pytest.raises(DataError) as caught:
        write_rows(state)
    assert caught.value.problems[0].place == "train rows row 11"


def test_a_row_that_contains_itself_is_named(tmp_path: Path):
    row: dict = {"output": "x"}
    row["instruction"] = [row]
    with pytest.raises(DataError):
        write_rows(state_of(tmp_path, rows={"train": [row]}))


def test_functions_of_a_module_cross_and_others_do_not(tmp_path: Path, monkeypatch):
    (tmp_path / "host_functions.py").write_text(
        "import lorasdk\ndef rows(limit: int = 1):\n    return []\n"
        "@lorasdk.evaluator(higher_is_better=False)\ndef wordiness(answer):\n    return len(answer)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = importlib.import_module("host_functions")
    given = {"loaders": {"crm": host.rows}, "evaluators": {"length": host.wordiness}}
    job = Job.of(state_of(tmp_path, plugins=with_functions([], **given)), {}, TrainOptions())
    loader, evaluator = (reference.plugin() for reference in Job.read(job.line()).plugins)
    assert (loader.name, loader.function) == ("crm", host.rows)
    assert (evaluator.name, evaluator.higher_is_better, evaluator.function) == (
        "length",
        False,
        host.wordiness.function,
    )

    def local():
        return []

    here = state_of(tmp_path, plugins=with_functions([], loaders={"here": local}, evaluators=None))
    with pytest.raises(PluginError) as caught:
        Job.of(here, {}, TrainOptions())
    assert caught.value.code == "run.plugin-cannot-cross"
