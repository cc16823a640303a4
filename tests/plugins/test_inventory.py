"""Listings: who offers what, what is promised in vain, and what is offered unsaid."""

from pathlib import Path

import pytest
from installed_packages import install, loader

import lorasdk
from lorasdk.plugins import Inventory, Listed, build_manager


@pytest.fixture
def installed(monkeypatch, tmp_path: Path):
    def make(name: str, source: str, *entries: str) -> None:
        install(monkeypatch, tmp_path, name, source, *entries)

    return make


BOTH = """
import lorasdk
@lorasdk.data_loader
def lead():
    return []
class P:
    @lorasdk.hookimpl
    def data_loaders(self):
        return [lead]
    @lorasdk.hookimpl
    def on_event(self, event):
        pass
plugin = P()
"""
HEARS = """
import lorasdk
class P:
    @lorasdk.hookimpl
    def on_event(self, event):
        pass
plugin = P()
"""
BROKEN = """
import lorasdk
class P:
    @lorasdk.hookimpl
    def on_event(self, event):
        pass
    @lorasdk.hookimpl
    def evaluators(self):
        raise OSError("disk")
plugin = P()
"""


def foreign(inventory: Inventory) -> list[Listed]:
    return [offer for offer in inventory.offers if offer.origin != "lorasdk"]


def test_what_is_built_in_is_listed_by_kind_and_name():
    inventory = build_manager(discover=False).inventory()
    names = [(offer.kind, offer.name) for offer in inventory.offers]
    assert names[:3] == [("loader", "file"), ("loader", "hub"), ("evaluator", "choice")]
    assert {(offer.origin, offer.usable, bool(offer.summary)) for offer in inventory.offers} == {
        ("lorasdk", True, True)
    }
    assert (inventory.problems, inventory.hints) == ((), ())


def test_components_and_observers_have_their_distribution_and_a_summary(installed, tmp_path: Path):
    installed("lorasdk-crm", loader("crm"), "loader.crm")
    installed("lorasdk-watch", HEARS, "observer.watch")
    with (tmp_path / "lorasdk_watch-1.0.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Summary: It watches.\n")
    inventory = build_manager().inventory()
    assert foreign(inventory) == [
        Listed("loader", "crm", "lorasdk-crm 1.0", "Rows of crm."),
        Listed("observer", "watch", "lorasdk-watch 1.0", "It watches."),
    ]
    assert (inventory.problems, inventory.hints) == ((), ())


def test_an_observer_of_the_application_is_listed():
    class Watch:
        @lorasdk.hookimpl
        def on_event(self, event):
            pass

    (observer,) = foreign(build_manager([Watch()], discover=False).inventory())
    assert (observer.kind, observer.origin) == ("observer", "application")


def test_P86_what_is_promised_in_vain_is_listed_beside_the_problem(installed):
    installed("lorasdk-bad", "raise SystemExit(3)", "loader.crm", "observer.crm")
    inventory = build_manager().inventory()
    assert [(offer.kind, offer.name, offer.usable) for offer in foreign(inventory)] == [
        ("loader", "crm", False),
        ("observer", "crm", False),
    ]
    assert {(problem.code, problem.place) for problem in inventory.problems} == {
        ("plugin.failed-to-load", "lorasdk-bad 1.0")
    }


def test_P88_a_name_of_two_packages_is_usable_from_neither(installed):
    installed("lorasdk-c", loader("same"), "loader.same")
    installed("lorasdk-d", loader("same"), "loader.same")
    inventory = build_manager().inventory()
    assert [(offer.origin, offer.usable) for offer in foreign(inventory)] == [
        ("lorasdk-c 1.0", False),
        ("lorasdk-d 1.0", False),
    ]
    assert [problem.code for problem in inventory.problems] == ["plugin.name-offered-twice"]


def test_an_entry_point_that_says_nothing_is_told_what_to_say(installed):
    installed("lorasdk-both", BOTH, "acme")
    inventory = build_manager().inventory()
    assert [(offer.kind, offer.name, offer.usable) for offer in foreign(inventory)] == [
        ("loader", "lead", True),
        ("observer", "acme", True),
    ]
    (hint,) = inventory.hints
    assert (hint.code, hint.place) == ("plugin.undeclared", "lorasdk-both 1.0")
    assert hint.fix == 'write "loader.lead" = "lorasdk_both:plugin", "observer.acme" = "lorasdk_both:plugin" instead'


def test_an_entry_point_that_says_nothing_new_can_go(installed):
    installed("lorasdk-crm", loader("crm"), "loader.crm", "acme")
    (hint,) = build_manager().inventory().hints
    assert (hint.code, hint.fix) == ("plugin.undeclared", "remove it: other entry points say what it offers")


def test_what_is_offered_beyond_the_entry_points_is_told_once(installed):
    installed("lorasdk-both", BOTH.replace("[lead]", "[lead, crm]") + CRM, "loader.crm")
    inventory = build_manager().inventory()
    assert [(offer.kind, offer.name) for offer in foreign(inventory)] == [("loader", "crm")]
    (hint,) = inventory.hints
    assert hint.code == "plugin.undeclared-offer"
    assert hint.message.startswith("it also has the data loader 'lead' and an on_event,")
    assert '"loader.lead" = "lorasdk_both:plugin", "observer.crm" = "lorasdk_both:plugin"' in hint.fix


CRM = "\n@lorasdk.data_loader\ndef crm():\n    return []\n"


def test_what_other_entry_points_of_the_package_say_is_no_news(installed):
    installed("lorasdk-both", BOTH, "loader.lead", "observer.watch")
    assert build_manager().inventory().hints == ()


def test_an_observer_without_on_event_is_promised_in_vain(installed):
    installed("lorasdk-crm", loader("crm"), "loader.crm", "observer.crm")
    inventory = build_manager().inventory()
    assert [(offer.kind, offer.usable) for offer in foreign(inventory)] == [("loader", True), ("observer", False)]
    assert [hint.code for hint in inventory.hints] == ["plugin.hears-nothing"]


def test_a_hook_that_fails_is_a_problem_though_no_entry_point_leads_to_it(installed):
    installed("lorasdk-bad", BROKEN, "observer.bad")
    (problem,) = build_manager().inventory().problems
    assert (problem.place, problem.message) == ("lorasdk-bad 1.0", "OSError: disk")
