import logging

import lorasdk
from lorasdk.plugins import build_manager, hookimpl


def test_built_ins_come_through_the_hooks():
    found = build_manager(discover=False)
    assert set(found.loaders.names) == {"file", "hub"}
    assert set(found.evaluators.names) == {
        "choice",
        "contains",
        "exact_match",
        "json_fields",
        "perplexity",
        "regex",
        "token_f1",
    }
    assert set(found.sources.names) == {"hub", "folder", "gguf", "package"}


def test_two_managers_do_not_see_each_others_plugins():
    @lorasdk.data_loader
    def mine():
        return []

    first, second = build_manager([mine], discover=False), build_manager(discover=False)
    assert "mine" in first.loaders.names
    assert "mine" not in second.loaders.names


class Listener:
    def __init__(self):
        self.heard = []

    @hookimpl
    def on_event(self, event):
        self.heard.append(event)


class Broken:
    @hookimpl
    def on_event(self, event):
        raise ZeroDivisionError


EVENT = lorasdk.Notice("x", "y")


def test_an_observer_that_fails_is_logged_and_the_others_still_hear(caplog):
    listener = Listener()
    build_manager([Broken(), listener, Broken()], discover=False).announce(EVENT)
    assert listener.heard == [EVENT]
    assert caplog.text.count("failed in on_event") == 2
    assert caplog.records[0].levelno == logging.ERROR


def test_an_observer_need_not_take_the_event():
    class Counter:
        count = 0

        @hookimpl
        def on_event(self):
            self.count += 1

    counter = Counter()
    build_manager([counter], discover=False).announce(EVENT)
    assert counter.count == 1


def test_news_are_told_once():
    @lorasdk.data_loader(name="file")
    def mine():
        return []

    found = build_manager([mine], discover=False)
    (notice,) = found.news()
    assert notice.code == "plugin.replaced"
    assert notice.message == "the application's data loader 'file' stands in for that of lorasdk"
    assert found.news() == []
