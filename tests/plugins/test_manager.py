import sys
from importlib.metadata import EntryPoint

import pydantic
import pytest

import lorasdk
from lorasdk.errors import PluginError
from lorasdk.plugins import build_manager, hookimpl, manager
from lorasdk.plugins.specs import Hooks


class Rows:
    summary = "rows"

    class Options(pydantic.BaseModel, extra="forbid"):
        pass

    def __init__(self, name: str = "mine") -> None:
        self.name = name

    def check(self, options, context):
        return []

    def load(self, options, context):
        return []


def plugin(*names: str):
    class Plugin:
        @hookimpl
        def data_loaders(self):
            return [Rows(name) for name in names]

    return Plugin()


def installed(monkeypatch, tmp_path, **sources: str):
    """Pretend that packages are installed: module name to its source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = []
    for name, source in sources.items():
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(source)
        entries.append(EntryPoint(name, name, "lorasdk"))
    monkeypatch.setattr(manager, "entry_points", lambda group: entries if group == "lorasdk" else [])


GOOD = "from test_manager import Rows, hookimpl\n@hookimpl\ndef data_loaders():\n    return [Rows({name!r})]\n"


def test_the_hooks_and_their_arguments_are_pinned():
    import inspect

    hooks = {name: list(inspect.signature(value).parameters) for name, value in vars(Hooks).items() if name[0] != "_"}
    assert hooks == {
        "data_loaders": ["self"],
        "evaluators": ["self"],
        "model_sources": ["self"],
        "on_event": ["self", "event"],
    }


def test_built_ins_come_through_the_hooks():
    found = build_manager(discover=False)
    assert set(found.loaders.offers) == {"file", "hub"}
    assert set(found.evaluators.offers) == {"choice", "exact_match", "perplexity"}
    assert set(found.sources.offers) == {"hub", "folder", "gguf", "package"}


def test_an_application_object_may_replace_a_built_in():
    found = build_manager([plugin("file")], discover=False)
    assert isinstance(found.loaders.find("file"), Rows)
    assert found.loaders.offers["file"].origin == "application"


def test_two_managers_do_not_see_each_other():
    build_manager([plugin("mine")], discover=False)
    assert "mine" not in build_manager(discover=False).loaders.offers


def test_an_unknown_component_suggests_the_nearest():
    with pytest.raises(PluginError) as caught:
        build_manager(discover=False).loaders.find("fiel", place="recipe.yaml:3:5", field="data.train.loader")
    problem = caught.value.problems[0]
    assert (problem.place, problem.fix) == ("recipe.yaml:3:5", "did you mean 'file'?")


def test_installed_packages_are_found_and_blocked_ones_never_imported(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, plug_a=GOOD.format(name="a"), plug_b="raise SystemExit('imported')")
    for found in (build_manager(blocked=["plug_b"]), build_manager(allowed=["plug_a"])):
        assert "a" in found.loaders.offers
    assert "plug_b" not in sys.modules
    assert "a" not in build_manager(discover=False).loaders.offers


@pytest.mark.parametrize(
    "source",
    [
        "import a_module_that_is_not_there",
        "from lorasdk import hookimpl\n@hookimpl\ndef data_loader():\n    return []\n",
        "from lorasdk import hookimpl\n@hookimpl\ndef on_event(evnt):\n    pass\n",
        "x = 1\n",
    ],
    ids=["import error", "misspelt hook", "wrong argument", "no hook"],
)
def test_a_package_that_fails_is_reported_and_the_rest_still_loads(monkeypatch, tmp_path, source: str):
    installed(monkeypatch, tmp_path, plug_bad=source, plug_good=GOOD.format(name="good"))
    found = build_manager()
    assert "good" in found.loaders.offers
    assert [problem.place for problem in found.failures] == ["plug_bad"]
    with pytest.raises(PluginError, match="plug_bad"):
        found.loaders.find("what the bad one offers")


def test_two_packages_with_one_name_are_an_error_that_names_both(monkeypatch, tmp_path):
    installed(monkeypatch, tmp_path, plug_c=GOOD.format(name="same"), plug_d=GOOD.format(name="same"))
    with pytest.raises(PluginError) as caught:
        build_manager()
    assert caught.value.code == "plugin.name-offered-twice"
    assert "plug_c and plug_d" in str(caught.value)


def test_an_application_object_without_hooks_is_refused():
    with pytest.raises(PluginError, match="implements no hook"):
        build_manager([object()], discover=False)


def test_an_observer_that_fails_is_logged_and_the_others_still_hear(caplog):
    heard = []

    class Broken:
        @hookimpl
        def on_event(self, event):
            raise ZeroDivisionError

    class Listener:
        @hookimpl
        def on_event(self, event):
            heard.append(event)

    event = lorasdk.Notice("x", "y")
    build_manager([Broken(), Listener(), Broken()], discover=False).announce(event)
    assert heard == [event]
    assert caplog.text.count("failed in on_event") == 2
