"""What happened to each label, where references are labels, and what would have been right without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorasdk.contracts import Example
from lorasdk.eval_report import ClassScore, LabelReport
from lorasdk.evaluation.baselines import baselines
from lorasdk.evaluation.labelling import label_of, labels_among


def label_report(
    examples: Sequence[Example],
    base: Sequence[str],
    tuned: Sequence[str],
    training: Sequence[Example],
    *,
    seed: int = 0,
) -> LabelReport | None:
    """Count by label what base and tuned model answered; None when the references are no labels (`labels_among`).

    An answer gives the label that it equals as the evaluator `exact_match` compares: apart from white space, case and
    one final full stop. What equals none of the test rows' labels is counted as no label.

    Args:
        examples: test rows.
        base: the base model's answer to each.
        tuned: the answer with the adapter.
        training: rows that the baselines learn from; none leave the report without baselines.
        seed: of the baselines' sample and intervals.
    """
    labels = labels_among(examples)
    if labels is None:
        return None
    places = {label_of(label): place for place, label in enumerate(labels)}
    truth = [places[label_of(example.reference)] for example in examples]
    of_base, of_tuned = (_confusion(places, truth, answers) for answers in (base, tuned))
    right = [float(places.get(label_of(answer)) == place) for answer, place in zip(tuned, truth, strict=True)]
    return LabelReport(
        tuple(_class(label, place, of_base[place], of_tuned[place]) for place, label in enumerate(labels)),
        of_base,
        of_tuned,
        baselines(examples, training, right, seed=seed),
    )


def _confusion(places: Mapping[str, int], truth: Sequence[int], answers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Rows by place of the reference and of the answer; what is no label comes last."""
    counts = [[0] * (len(places) + 1) for _ in places]
    for place, answer in zip(truth, answers, strict=True):
        counts[place][places.get(label_of(answer), len(places))] += 1
    return tuple(map(tuple, counts))


def _class(label: str, place: int, base: Sequence[int], tuned: Sequence[int]) -> ClassScore:
    rows = sum(base)
    return ClassScore(label, rows, base[place] / rows, tuned[place] / rows)
