"""The evaluator `lm_eval`: lm-evaluation-harness asks and scores, a predictor answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorasdk import EvaluationContext, Example, Predictor
from lorasdk_lm_eval.answering import answer, is_sampled
from lorasdk_lm_eval.documents import Asked, ask
from lorasdk_lm_eval.grading import grade
from lorasdk_lm_eval.guest import as_guest
from lorasdk_lm_eval.loading import load
from lorasdk_lm_eval.options import LmEvalOptions


@dataclass(frozen=True)
class LmEval:
    """One score per document of the tasks; their mean is the mean over all documents, whatever task they are of."""

    trust_task_code: bool = False
    """Whether tasks in a recipe's own folder may bring Python code."""

    name = "lm_eval"
    summary = "tasks of lm-evaluation-harness"
    higher_is_better = True
    Options = LmEvalOptions

    def examples(self, options: LmEvalOptions, context: EvaluationContext) -> list[Example]:
        """The documents, task by task.

        Raises:
            DataError: a task's data cannot be had.
            PluginError: a task is unknown, cannot be evaluated here, or fails.
        """
        with as_guest() as heard:
            asked = [each for task in self._asked(options, context) for each in task]
            examples = [each.example(row) for row, each in enumerate(asked, start=1)]
        _tell(asked, heard, context)
        return examples

    def score(
        self,
        options: LmEvalOptions,
        examples: Sequence[Example],  # noqa: ARG002 - the harness asks more than an example holds
        predictor: Predictor,
        context: EvaluationContext,
    ) -> list[float]:
        """The task's metric of each document.

        Raises:
            DataError, PluginError: as `examples`, or answers cannot be scored.
            LorasdkError: what the predictor says is wrong.
        """
        with as_guest():
            tasks = self._asked(options, context)
        context.check_stop()
        instances = [instance for task in tasks for each in task for instance in each.instances]
        answer(instances, predictor, context, keep_white_space=options.prompt == "text")
        context.check_stop()
        with as_guest():
            return [score for task in tasks for score in grade(task, context)]

    def _asked(self, options: LmEvalOptions, context: EvaluationContext) -> list[list[Asked]]:
        chosen = load(options, context, trusted=self.trust_task_code)
        return [ask(task, options, context) for task in chosen]


def _tell(asked: Sequence[Asked], heard: Sequence[str], context: EvaluationContext) -> None:
    """What a reader of the scores should know of the tasks."""
    for sentence in heard:
        context.notify("lm_eval.harness", sentence)
    chosen = {each.chosen.name: each.chosen for each in asked}
    fixed = [name for name, each in chosen.items() if each.fixed_shots]
    if fixed:
        context.notify("lm_eval.fixed-shots", f"{', '.join(fixed)}: shows no examples, whatever num_fewshot says")
    drawn = {each.chosen.name for each in asked if any(map(is_sampled, each.instances))}
    if drawn:
        sentence = "wants answers to be drawn; they are made as the recipe's section generation says"
        context.notify("lm_eval.not-sampled", f"{', '.join(sorted(drawn))}: {sentence}")
