"""Holds what was forgotten against the recipe's bound."""

from __future__ import annotations

from dataclasses import replace

from lorasdk.eval_report import Forgetting
from lorasdk.events import Emit, Notice


def bounded(found: Forgetting, bound: float | None, emit: Emit) -> Forgetting:
    """The measurement with its bound.

    Beyond it the report and the adapter are still there, since both are needed to judge and mend; so that nobody misses
    it, `Forgetting.within` is False and a notice says so.
    """
    held = replace(found, bound=bound)
    if not held.within:
        measured = f"{found.divergence:.3g} nats per token away from the base on {found.prompts} general prompts"
        emit(Notice("evaluation.forgotten", f"{measured}; evaluation.max_forgetting allows {bound:g}"))
    return held
