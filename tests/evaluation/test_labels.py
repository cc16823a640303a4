import pytest

from lorasdk.contracts import Example, Message
from lorasdk.eval_report import ClassScore
from lorasdk.evaluation.labelling import labels_among
from lorasdk.evaluation.labels import label_report


def rows(*references: str, asked: str = "q") -> list[Example]:
    return [Example(i, (Message("user", asked), Message("assistant", said))) for i, said in enumerate(references, 1)]


def test_labels_are_counted_by_reference_and_answer():
    examples = rows("cat", "dog", "Dog", "cat", "dog")
    base, tuned = ["dog", "dog.", " DOG", "a cat", "cat"], ["Cat.", "dog", "dog", "dog", "mouse"]
    report = label_report(examples, base, tuned, ())
    assert report is not None
    assert report.classes == (ClassScore("dog", 3, 2 / 3, 2 / 3), ClassScore("cat", 2, 0, 1 / 2))
    assert report.base_confusion == ((2, 1, 0), (1, 0, 1))
    assert report.tuned_confusion == ((2, 0, 1), (1, 1, 0))
    assert report.baselines == ()


def test_labels_are_shown_as_they_are_first_spelt():
    assert labels_among(rows("New  York.\n", "new york", "Oslo", "oslo", "NEW YORK")) == ("New York.", "Oslo")


@pytest.mark.parametrize(
    "references",
    [
        ["yes"] * 5,
        ["one", "two", "three", "four"],
        ["none"] * 50 + ["one", "two", "three"],
        [f"{i}" for i in range(101)] * 2,
        ["yes", "yes", "no", "no", "", ""],
        [],
    ],
)
def test_one_answer_and_answers_that_are_many_empty_or_rows_own_are_no_labels(references: list[str]):
    assert label_report(rows(*references), references, references, ()) is None


def test_a_hundred_labels_that_repeat_are_labels():
    assert len(labels_among(rows(*[f"{i}" for i in range(100)] * 2)) or ()) == 100


def test_plain_text_has_no_labels():
    assert (
        label_report([Example(1, text="yes"), Example(2, text="yes"), Example(3, text="no")], "yyy", "yyy", ()) is None
    )


def test_baselines_are_compared_with_the_tuned_models_labels():
    examples = rows(*["cat", "dog", "dog"] * 20)
    said = [example.reference for example in examples]
    report = label_report(examples, ["dog"] * 60, said, rows(*["dog"] * 3, "cat"))
    assert report is not None
    (majority,) = report.baselines
    assert (majority.name, majority.accuracy, majority.verdict) == ("majority", pytest.approx(2 / 3), "better")
