"""What the package offers to lorasdk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorasdk import Evaluator, hookimpl
from lorasdk_lm_eval.evaluator import LmEval


@dataclass(frozen=True)
class LmEvalPlugin:
    """Offers the evaluator `lm_eval`."""

    trust_task_code: bool = False
    """Whether tasks in a recipe's own folder may bring Python code. Only a program can say so, never a recipe."""

    @hookimpl
    def evaluators(self) -> Sequence[Evaluator]:
        """The one evaluator."""
        return [LmEval(trust_task_code=self.trust_task_code)]


plugin = LmEvalPlugin()
"""What the entry point names."""
