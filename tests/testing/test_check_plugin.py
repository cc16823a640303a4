"""Each rule that a plugin must honour is broken once, and said."""

import os
import random
import sys
import time
from pathlib import Path

import pydantic
import pytest
from pydantic import ConfigDict, SecretStr

import lorasdk
from lorasdk import DataError, LocatedModel, ModelError, PluginError, Problem, hookimpl
from lorasdk.testing import check_plugin


class Closed(pydantic.BaseModel):
    """What all options here begin with."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class RowsOptions(Closed):
    path: str = "rows"
    """Where the rows are."""
    token: SecretStr | None = None
    """Lets us in."""


class Rows:
    name, summary = "rows", "rows of the test"
    Options = RowsOptions

    @hookimpl
    def data_loaders(self):
        return [self]

    def check(self, options, context):
        return []

    def load(self, options, context):
        if options.path != "rows":
            raise DataError(Problem("rows.none", "there is no such place"))
        yield from ({"prompt": f"{i}?", "completion": "yes"} for i in range(300))


class Judging:
    name, summary, higher_is_better = "judging", "what the test says", True
    Options = Closed

    @hookimpl
    def evaluators(self):
        return [self]

    def score(self, options, examples, predictor, context):
        answers = predictor.complete([example.prompt for example in examples])
        return [float(answer.text == example.reference) for answer, example in zip(answers, examples, strict=True)]


class Vault:
    name, summary = "vault", "models of the test"

    @hookimpl
    def model_sources(self):
        return [self]

    def check(self, request):
        return [] if Path(request.reference).exists() else [Problem("vault.none", "there is no such model")]

    def locate(self, request):
        if self.check(request):
            raise ModelError(*self.check(request))
        return LocatedModel(Path(request.reference), "folder", "vault:x")


class Watching:
    @hookimpl
    def on_event(self, event):
        if isinstance(event, lorasdk.StepFinished):
            assert event.loss >= 0


def broken(plugin: object, **options: dict[str, object]) -> list[Problem]:
    with pytest.raises(PluginError) as caught:
        check_plugin(plugin, options=options)
    assert {problem.code for problem in caught.value.problems} == {"plugin.contract-broken"}
    return list(caught.value.problems)


def changed(kind: type, **attributes: object) -> object:
    return type(f"Broken{kind.__name__}", (kind,), attributes)()


def test_plugins_that_honour_everything_pass(tmp_path: Path):
    check_plugin(Rows(), options={"rows": {"path": "rows"}})
    check_plugin(Judging())
    check_plugin(Vault(), options={"vault": {"reference": str(tmp_path)}})
    check_plugin(Watching())


def test_what_is_no_plugin_is_refused_as_a_manager_does():
    with pytest.raises(PluginError, match="implements no hook"):
        check_plugin(object())


class OpenInside(Closed):
    class Inner(pydantic.BaseModel):
        depth: int = 1

    inner: Inner = Inner()
    api_key: str = ""


def test_options_are_closed_documented_and_secrets_declared_at_every_depth():
    found = broken(changed(Judging, Options=OpenInside))
    assert [(problem.field, problem.message.split(",")[0]) for problem in found] == [
        ("OpenInside.inner", "the option has no description"),
        ("OpenInside.api_key", "the option has no description"),
        ("OpenInside.api_key", "the option's name says that it is a secret"),
        ("", "the options Inner let unknown keys through"),
        ("Inner.depth", "the option has no description"),
    ]


class Needy(Closed):
    path: str
    """Where the rows are."""


def test_a_component_that_needs_options_is_told_to_be_given_some():
    (problem,) = broken(changed(Rows, Options=Needy))
    assert "its options are not valid: path: Field required" in problem.message
    (problem,) = broken(Rows(), other={})
    assert "options are given for other" in problem.message


counting = iter(range(10**6))


def fails_foreign(self, options, context):
    if options.path != "rows":
        raise KeyError(options.path)
    return [{"a": 1}]


def fails_late(self, options, context):
    yield {"a": 1}
    raise OSError("disk")


def fails_when_left(self, options, context):
    try:
        yield from ({"a": i} for i in range(300))
    finally:
        raise RuntimeError("left")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"load": lambda self, options, context: []}, "it gives no rows"),
        ({"load": lambda self, options, context: ["text"]}, "row 1 is no mapping"),
        ({"load": lambda self, options, context: [{1: "a"}]}, "row 1 is no mapping"),
        ({"load": lambda self, options, context: [{"a": next(counting)}]}, "it gives other rows the second time"),
        ({"load": fails_foreign}, "load raised KeyError"),
        ({"load": fails_late}, "load raised OSError: disk"),
        ({"load": fails_when_left}, "load raised RuntimeError: left"),
        ({"check": lambda self, options, context: ["no"]}, "check must give problems"),
        ({"check": lambda self, options, context: 1 / 0}, "check raised ZeroDivisionError"),
        (
            {"check": lambda self, options, context: [Problem("a.b", "gone")]},
            "its check does not like the options: gone",
        ),
    ],
)
def test_a_loader_is_tried(attributes: dict[str, object], message: str):
    assert message in broken(changed(Rows, **attributes), rows={"path": "rows"})[0].message


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"score": lambda self, o, e, p, c: [1.0]}, "it gave 1 scores for 3 examples"),
        ({"score": lambda self, o, e, p, c: [1.0, 2.0, float("nan")]}, "it gave 3 scores for 3 examples"),
        ({"score": lambda self, o, e, p, c: [next(counting)] * 3}, "scores the same answers otherwise"),
        ({"score": lambda self, o, e, p, c: 1 / 0}, "score raised ZeroDivisionError"),
        ({"aggregate": lambda self, scores: None}, "its aggregate is no finite number"),
        ({"aggregate": lambda self, scores: float("inf")}, "its aggregate is no finite number"),
    ],
)
def test_an_evaluator_is_tried(attributes: dict[str, object], message: str):
    assert message in broken(changed(Judging, **attributes))[0].message


def test_a_model_source_is_tried(tmp_path: Path):
    anything = changed(Vault, locate=lambda self, request: LocatedModel(tmp_path, "folder", "x"))
    assert "it locates a base model that cannot exist" in broken(anything)[0].message
    foreign = changed(Vault, locate=lambda self, request: 1 / 0)
    assert "locate raised ZeroDivisionError" in broken(foreign)[0].message
    nowhere = changed(Vault, locate=lambda self, request: LocatedModel(tmp_path / "gone", "folder", "x"))
    assert "what it locates is not there" in broken(nowhere, vault={"reference": "x"})[-1].message


def test_an_observer_hears_every_event_and_one_that_it_cannot_know():
    class Strict:
        @hookimpl
        def on_event(self, event):
            if type(event).__name__ not in vars(lorasdk):
                raise LookupError(type(event).__name__)

    (problem,) = broken(Strict())
    assert "on_event of EventOfTheFuture raised LookupError" in problem.message


def sets_environment(self, event):
    os.environ["LORASDK_CHECKED"] = str(time.monotonic_ns())


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (hookimpl(sets_environment), "it changed the environment"),
        (hookimpl(lambda self, event: random.random()), "it changed random's state"),
        (hookimpl(lambda self, event: sys.stdout.write("hello")), "it prints"),
        (hookimpl(lambda self, event: sys.stderr.write("hello")), "it prints"),
    ],
)
def test_side_effects_are_seen(monkeypatch, does, message: str):
    monkeypatch.setenv("LORASDK_CHECKED", "no")
    (problem,) = broken(changed(Watching, on_event=does))
    assert problem.message == message
