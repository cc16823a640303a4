"""Our own evaluators keep the rules that plugins must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from lorasdk import hookimpl
from lorasdk.builtin import evaluators
from lorasdk.contracts import Evaluator, Example, Message
from lorasdk.testing import check_plugin

OPTIONS: Mapping[str, Mapping[str, object]] = {
    "contains": {"texts": ["yes"], "need": "any"},
    "exact_match": {"normalise": "case"},
    "regex": {"pattern": "(yes)", "how": "whole"},
}


@dataclass
class Offering:
    """A plugin with one evaluator."""

    evaluator: Evaluator

    @hookimpl
    def evaluators(self) -> list[Evaluator]:
        return [self.evaluator]


@dataclass
class OnObjects:
    """The evaluator `json_fields` with examples that it can score: the check's own are plain words."""

    inner: Evaluator

    def __post_init__(self) -> None:
        self.name, self.summary = self.inner.name, self.inner.summary
        self.higher_is_better, self.Options = self.inner.higher_is_better, self.inner.Options

    def examples(self, options: Any, context: Any) -> Sequence[Example]:
        return [Example(1, (Message("user", "q"), Message("assistant", '{"a": 1}')))]

    def score(self, *given: Any) -> Sequence[float]:
        return self.inner.score(*given)


@pytest.mark.parametrize("evaluator", evaluators(), ids=lambda evaluator: evaluator.name)
def test_a_built_in_evaluator_keeps_the_rules_of_plugins(evaluator: Evaluator):
    offered = OnObjects(evaluator) if evaluator.name == "json_fields" else evaluator
    given = OPTIONS.get(evaluator.name)
    check_plugin(Offering(offered), options={evaluator.name: given} if given else {})
