import pydantic
import pytest

from lorasdk.plugins.components import SHAPES, faults


class Whole:
    name, summary, higher_is_better = "mine", "a measure", True

    class Options(pydantic.BaseModel, extra="forbid"):
        pass

    def score(self, options, examples, predictor, context):
        return []


class Open(pydantic.BaseModel):
    pass


def without(**changes: object) -> object:
    return type("Changed", (Whole,), changes)()


def test_what_has_everything_has_no_fault():
    assert faults(Whole(), SHAPES["evaluator"]) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "two words"}, "name must be a text"),
        ({"name": "vault:"}, "name must be a text"),
        ({"name": None}, "got None"),
        ({"summary": "two\nlines"}, "summary must be one line"),
        ({"summary": " "}, "summary must be one line"),
        ({"higher_is_better": 1}, "higher_is_better must be True or False"),
        ({"Options": Open}, 'Open needs extra="forbid"'),
        ({"Options": dict}, "Options must be a pydantic model"),
        ({"score": None}, "it has no method score(options, examples, predictor, context)"),
        ({"score": lambda self, examples: []}, "score(examples) must be score(options, examples, predictor, context)"),
    ],
)
def test_each_fault_is_said(changes: dict[str, object], fault: str):
    (found,) = faults(without(**changes), SHAPES["evaluator"])
    assert fault in found


def test_all_faults_are_said_together():
    assert len(faults(object(), SHAPES["loader"])) == 5
