from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from lorasdk import EvaluationContext, Example, LoadContext, Message, PluginError, data_loader, evaluator
from lorasdk.plugins import build_manager
from lorasdk.plugins.functions import with_functions
from lorasdk.results import Completion

LOADING = LoadContext(Path("/recipes"), "recipe.yaml:3:5", "train", lambda _problem: None)
EXAMPLES = [Example(i, (Message("user", "q"), Message("assistant", text))) for i, text in enumerate(["a", "bb"], 1)]


class Echo:
    def complete(self, prompts):
        return [Completion("bb", 1, 1, "stop") for _ in prompts]


def scored(component, **options: object):
    checks: list[int] = []
    context = EvaluationContext(Path(), "", "base", lambda _code, _text: None, lambda: checks.append(1))
    scores = component.score(component.Options.model_validate(options), EXAMPLES, Echo(), context)
    assert len(checks) == len(EXAMPLES)
    return scores


def rows_from_crm(region: str, limit: Annotated[int, Field(ge=1)] = 2, *, context: LoadContext):
    """Answered tickets.

    Of one region.
    """
    for i in range(limit):
        yield {"instruction": f"{region} {i}", "output": str(context.base_dir)}


def test_a_functions_parameters_are_the_options_of_its_loader():
    loader = build_manager(with_functions((), loaders={"crm": rows_from_crm}, evaluators={})).loaders.find("crm")
    assert (loader.name, loader.summary) == ("crm", "Answered tickets.")
    options = loader.Options.model_validate({"region": "north", "limit": 1})
    assert list(loader.check(options, LOADING)) == []
    assert list(loader.load(options, LOADING)) == [{"instruction": "north 0", "output": "/recipes"}]


@pytest.mark.parametrize("given", [{}, {"region": "north", "limit": 0}, {"region": 3}, {"region": "n", "regoin": "n"}])
def test_options_are_checked_against_the_annotations(given: dict[str, object]):
    with pytest.raises(ValidationError):
        data_loader(rows_from_crm).Options.model_validate(given)


def test_an_evaluators_function_takes_what_it_asks_for():
    @evaluator(name="same", higher_is_better=False)
    def compares(answer: str, reference: str, example: Example, weight: float = 1.0) -> float:
        return weight * (answer == reference) * example.row

    assert (compares.name, compares.higher_is_better) == ("same", False)
    assert scored(compares) == [0, 2]
    assert scored(compares, weight=0.5) == [0, 1]
    assert compares("a", "a", EXAMPLES[0]) == 1


def test_a_decorated_function_keeps_its_direction_under_another_name():
    @evaluator(higher_is_better=False)
    def wordiness(answer):
        return len(answer)

    (renamed,) = with_functions((), loaders=None, evaluators={"length": wordiness})
    assert (renamed.name, renamed.higher_is_better, scored(renamed)) == ("length", False, [2, 2])


def anything(answer, **rest):
    return 0


def unknown_annotation(answer, size: "Nowhere"):  # noqa: F821 - that is what is tested
    return 0


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda reference: 0, "takes no parameter called answer"),
        (anything, "cannot give its parameter \\*\\*rest"),
        (unknown_annotation, "name 'Nowhere' is not defined"),
        (min, "its parameters cannot be read"),
    ],
)
def test_a_function_that_cannot_be_a_component_is_refused(function, why: str):
    with pytest.raises(PluginError, match=why) as caught:
        evaluator(name="mine")(function)
    assert caught.value.code == "plugin.unusable-function"


def test_a_function_without_words_still_has_a_summary():
    def silent():
        return []

    assert data_loader(silent).summary == "the function silent"
    assert data_loader(name="nothing")(silent).name == "nothing"
