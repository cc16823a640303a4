"""The head of a model card: what the hub reads of it, in the hub's own form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorasdk.artifacts.passport import Passport
from lorasdk.eval_report import EvalReport, Score

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

HUB_ID = re.compile(r"hub:([\w.-]+(?:/[\w.-]+)?)", re.ASCII)
DIGITS = 6
"""After the point: what a score of a thousand rows can mean."""


def hub_id(passport: Passport) -> str | None:
    """The base model's id on the hub, if it came from there."""
    found = HUB_ID.fullmatch(passport.base_model.identity)
    return found[1] if found else None


def card_metadata(passport: Passport, report: EvalReport | None) -> ModelCardData:
    """What the hub shows and filters by. No licence: neither the base model's nor the rows' is known here."""
    from huggingface_hub import ModelCardData

    base = hub_id(passport)
    quantised = ["qlora"] if passport.base_model.quantization in {"nf4", "fp4"} else []
    results = [] if report is None else [_result(score, passport, report) for score in report.scores]
    return ModelCardData(
        base_model=base,
        base_model_relation="adapter" if base else None,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["lora", "lorasdk", *quantised],
        model_name=str(passport.recipe["name"]) if results else None,
        eval_results=results or None,
    )


def _result(score: Score, passport: Passport, report: EvalReport) -> EvalResult:
    """The tuned model's score; the hub has no place for the base's and the interval but a metric's arguments."""
    from huggingface_hub import EvalResult

    own = score.rows != report.rows  # the evaluator brought its examples
    kind = score.evaluator.partition(" (")[0]
    return EvalResult(
        task_type="text-generation",
        dataset_type=kind if own else "held-out-rows",
        dataset_name=f"Examples of {kind}" if own else f"Test rows of {passport.recipe['name']}",
        dataset_split=None if own else "test",
        dataset_args=_rows(score, passport, own=own),
        metric_type=kind,
        metric_name=score.evaluator,
        metric_value=round(score.tuned, DIGITS),
        metric_args=_worth(score),
    )


def _rows(score: Score, passport: Passport, *, own: bool) -> dict[str, object]:
    split = None if own else passport.data.get("test")
    whole = split is not None and split.rows == score.rows
    return {"rows": score.rows, **({"sha256": split.sha256} if split is not None and whole else {})}


def _worth(score: Score) -> dict[str, object]:
    known: dict[str, object] = {"base": round(score.base, DIGITS), "higher_is_better": score.higher_is_better}
    if score.interval is not None:
        low, high = round(score.interval.low, DIGITS), round(score.interval.high, DIGITS)
        known |= {"change_interval": [low, high], "confidence": score.interval.confidence, "verdict": score.verdict}
    if score.p_value is not None:
        known["p_value"] = round(score.p_value, DIGITS)
    return known
