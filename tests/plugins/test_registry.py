"""Names: what is built in, what is installed, what is handed over, and what happens when they meet."""

import sys
from pathlib import Path

import pytest
from installed_packages import install, loader

import lorasdk
from lorasdk.errors import PluginError
from lorasdk.plugins import build_manager


@pytest.fixture
def installed(monkeypatch, tmp_path: Path):
    def make(name: str, source: str, *entries: str) -> None:
        install(monkeypatch, tmp_path, name, source, *entries)

    return make


def refused(found, name: str) -> lorasdk.Problem:
    with pytest.raises(PluginError) as caught:
        found.find(name, place="recipe.yaml:3:5", field="data.train.loader")
    (problem,) = caught.value.problems
    assert (problem.place, problem.field) == ("recipe.yaml:3:5", "data.train.loader")
    return problem


def test_an_unknown_component_suggests_the_nearest():
    problem = refused(build_manager(discover=False).loaders, "fiel")
    assert (problem.code, problem.fix) == ("plugin.unknown-component", "did you mean 'file'?")


def test_a_component_is_imported_when_it_is_asked_for(installed):
    installed("lorasdk-crm", loader("crm"), "loader.crm")
    found = build_manager()
    assert "crm" in found.loaders.names
    assert "lorasdk_crm" not in sys.modules
    assert found.loaders.find("crm") is found.loaders.find("crm")
    assert "lorasdk_crm" in sys.modules


def test_a_component_behind_a_name_that_says_nothing_is_found_too(installed):
    installed("lorasdk-crm", loader("crm"), "acme")
    installed("lorasdk-other", loader("other"), "loader.other")
    found = build_manager()
    assert found.loaders.find("crm").name == "crm"
    assert "lorasdk_other" not in sys.modules


@pytest.mark.parametrize("name", ["lorasdk-crm", "LoraSDK_crm", "loader.crm", "crm"])
def test_P93_what_is_blocked_or_not_allowed_is_never_imported(installed, name: str):
    installed("lorasdk-crm", "raise AssertionError('imported')", "loader.crm", "observer.crm")
    installed("lorasdk-other", loader("other"), "loader.other")
    for found in (build_manager(blocked=[name]), build_manager(allowed=["lorasdk-other"])):
        if name.lower() != "loader.crm":
            found.announce(lorasdk.Notice("x", "y"))
        assert refused(found.loaders, "crm").code == "plugin.unknown-component"
        assert found.loaders.find("other").name == "other"
    assert "lorasdk_crm" not in sys.modules
    allowed = build_manager(allowed=[name])
    assert "crm" in allowed.loaders.names
    assert "other" not in allowed.loaders.names
    assert "crm" not in build_manager(discover=False).loaders.names


MISSPELT = "import lorasdk\nclass P:\n @lorasdk.hookimpl\n def data_loader(self):\n  return []\nplugin = P()\n"
ARGUMENT = "import lorasdk\nclass P:\n @lorasdk.hookimpl\n def on_event(self, evnt):\n  pass\nplugin = P()\n"
UNMARKED = "class P:\n def data_loaders(self):\n  return []\nplugin = P()\n"
CLASS = "import lorasdk\nclass plugin:\n @lorasdk.hookimpl\n def data_loaders(self):\n  return []\n"
RAISES = (
    "import lorasdk\nclass P:\n @lorasdk.hookimpl\n def data_loaders(self):\n  raise OSError('disk')\nplugin = P()\n"
)
NEWER = "import lorasdk\nclass P:\n lorasdk_api = 99\n @lorasdk.hookimpl\n def on_event(self):\n  pass\nplugin = P()\n"
WRAPS = "import lorasdk\nclass P:\n @lorasdk.hookimpl(wrapper=True)\n def data_loaders(self):\n  yield\nplugin = P()\n"
FAULTY = {
    "P86 import error": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "P86 exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "P87 misspelt hook": (MISSPELT, "'data_loader', which is no hook; did you mean 'data_loaders'?"),
    "P87 wrong argument": (ARGUMENT, "expected on_event(event, run_dir)"),
    "P87 unmarked hook": (UNMARKED, "its 'data_loaders' is not marked with @lorasdk.hookimpl"),
    "P87 class": (CLASS, "plugin is a class; hand over an object of it: plugin()"),
    "P87 wrapper": (WRAPS, "it wraps 'data_loaders'"),
    "P89 newer interface": (NEWER, "version 99 of lorasdk's plugin interface, and this lorasdk has version 1"),
    "hook raises": (RAISES, "OSError: disk"),
    "no hook": ("plugin = 1\n", "it implements no hook; mark one of"),
    "no such object": ("x = 1\n", "has no attribute 'plugin'"),
    "offers another": (loader("lead"), "promises loader.crm, but what it offers is lead"),
}


CASES = [
    pytest.param(*fault, declared, id=f"{name}, {declared}")
    for name, fault in FAULTY.items()
    for declared in ([True] if name == "offers another" else [True, False])
]


@pytest.mark.parametrize(("source", "why", "declared"), CASES)
def test_P86_P87_P89_a_package_that_fails_is_named_and_the_rest_still_loads(
    installed, source: str, why: str, *, declared: bool
):
    installed("lorasdk-bad", source, "loader.crm" if declared else "bad")
    installed("lorasdk-good", loader("good"), "loader.good")
    found = build_manager()
    assert found.loaders.find("good").name == "good"
    problem = refused(found.loaders, "crm")
    told = problem.message if declared else problem.fix
    assert "lorasdk-bad 1.0" in told
    assert why in told
    assert refused(found.loaders, "crm") == problem
    (failure,) = found.failures
    assert (failure.code, failure.place) == ("plugin.failed-to-load", "lorasdk-bad 1.0")
    assert [notice.code for notice in found.news()] == ["plugin.failed-to-load"]
    assert set(found.loaders.everything()) == {"file", "good", "hub"}


@pytest.mark.parametrize("entries", [("loader.same", "loader.same"), ("c", "d"), ("loader.same", "d")])
def test_P88_one_name_of_two_packages_is_an_error_that_names_both(installed, entries: tuple[str, str]):
    installed("lorasdk-c", loader("same"), entries[0])
    installed("lorasdk-d", loader("same"), entries[1])
    installed("lorasdk-e", loader("e"), "loader.e")
    found = build_manager()
    assert found.loaders.find("e").name == "e"
    assert len(found.failures) == 1
    problem = refused(found.loaders, "same")
    assert problem.code == "plugin.name-offered-twice"
    assert {word for word in ("lorasdk-c 1.0", "lorasdk-d 1.0") if word in problem.message} == {
        "lorasdk-c 1.0",
        "lorasdk-d 1.0",
    }
    assert build_manager(blocked=["lorasdk-d"]).loaders.find("same").name == "same"


@pytest.mark.parametrize("entry", ["loader.same", "mine"])
def test_P88_a_third_package_of_the_name_does_not_slip_in(installed, entry: str):
    for name in ("lorasdk-c", "lorasdk-d", "lorasdk-e"):
        installed(name, loader("same"), entry)
    found = build_manager()
    assert "same" not in found.loaders.everything()
    assert refused(found.loaders, "same").code == "plugin.name-offered-twice"


@pytest.mark.parametrize("entry", ["loader.file", "mine"])
def test_P88_a_package_cannot_take_the_place_of_a_built_in(installed, entry: str):
    installed("lorasdk-mine", loader("file"), entry)
    found = build_manager()
    assert [problem.code for problem in found.failures] == ["plugin.name-offered-twice"]
    assert "lorasdk and lorasdk-mine 1.0" in refused(found.loaders, "file").message


@pytest.mark.parametrize("entry", ["loader.crm", "mine"])
def test_an_applications_object_replaces_an_installed_one_and_says_so(installed, entry: str):
    @lorasdk.data_loader(name="crm")
    def mine():
        return []

    installed("lorasdk-crm", loader("crm"), entry)
    found = build_manager([mine])
    assert found.loaders.everything()["crm"].component is mine
    assert found.loaders.find("crm") is mine
    (notice,) = found.news()
    assert notice.message == "the application's data loader 'crm' stands in for that of lorasdk-crm 1.0"


def test_one_object_may_stand_behind_several_entries_and_hand_over(installed):
    installed("lorasdk-crm", loader("crm"), "loader.crm", "crm", "observer.crm")
    found = build_manager()
    assert found.loaders.find("crm") is found.loaders.everything()["crm"].component
    assert found.failures == ()


def test_two_objects_of_the_application_with_one_name_are_an_error():
    @lorasdk.data_loader
    def crm():
        return []

    with pytest.raises(PluginError) as caught:
        build_manager([crm, lorasdk.data_loader(name="crm")(crm.function)], discover=False)
    assert caught.value.code == "plugin.name-offered-twice"


def test_an_applications_object_without_hooks_is_refused():
    with pytest.raises(PluginError, match="it implements no hook"):
        build_manager([object()], discover=False)


OBSERVER = """
import lorasdk
heard = []
class P:
    @lorasdk.hookimpl
    def on_event(self, event):
        heard.append(event)
    @lorasdk.hookimpl
    def data_loaders(self):
        return []
plugin = P()
"""


@pytest.mark.parametrize("entry", ["observer.watch", "watch"])
def test_an_installed_observer_is_imported_with_the_first_event(installed, entry: str):
    installed("lorasdk-watch", OBSERVER, entry)
    found = build_manager()
    assert "lorasdk_watch" not in sys.modules
    found.announce(lorasdk.Notice("x", "y"))
    assert len(sys.modules["lorasdk_watch"].heard) == 1
    assert found.failures == ()


def test_what_is_installed_for_its_components_does_not_observe(installed):
    installed("lorasdk-crm", OBSERVER.replace("return []", "return [crm]") + CRM, "loader.crm")
    found = build_manager()
    found.loaders.find("crm")
    found.announce(lorasdk.Notice("x", "y"))
    assert sys.modules["lorasdk_crm"].heard == []


CRM = "\n@lorasdk.data_loader\ndef crm():\n    return []\n"
