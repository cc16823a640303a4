"""Turns a task's documents into what a predictor is asked.

The harness puts descriptions, shown examples and questions together; here they become turns instead of text, since the
predictor renders them with the model's own chat template, as in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorasdk import EvaluationContext, Example, Message, PluginError
from lorasdk_lm_eval import refusals
from lorasdk_lm_eval.harness import Document, Instance, as_list
from lorasdk_lm_eval.loading import ChosenTask
from lorasdk_lm_eval.options import LmEvalOptions

ANSWERED = frozenset({"generate_until", "loglikelihood"})


@dataclass(frozen=True)
class Asked:
    """A document with the requests about it."""

    chosen: ChosenTask
    document: Document
    instances: Sequence[Instance]

    def example(self, row: int) -> Example:
        """The document as an example: what is asked first, and what a good answer says."""
        return Example(row, (*turns(self.instances[0]), Message("assistant", self._target())))

    def _target(self) -> str:
        """The answer that counts; of a multiple choice its text, of several that count the first."""
        target = self.chosen.task.doc_to_target(self.document)
        if isinstance(target, list):
            target = target[0] if target else ""
        choices = [instance.arguments[1] for instance in self.instances]
        is_choice = isinstance(target, int) and self.instances[0].request_type == "loglikelihood"
        return str(choices[target] if is_choice and target < len(choices) else target).strip()


def turns(instance: Instance) -> tuple[Message, ...]:
    """The prompt of a request; a text of the harness is the user's turn."""
    context = instance.arguments[0]
    return (Message("user", context),) if isinstance(context, str) else context


def ask(chosen: ChosenTask, options: LmEvalOptions, context: EvaluationContext) -> list[Asked]:
    """A task's documents, at most `limit`, in order.

    Raises:
        PluginError: the task asks in a way that a predictor has no answer to, or its templates fail.
    """
    task = chosen.task
    try:
        asked = [
            Asked(chosen, document, _instances(chosen, number, document, options.prompt))
            for number, document in task.doc_iterator(limit=options.limit)
        ]
    except _BegunAnswerError as error:
        why = "begins the answer itself (gen_prefix), which a turn of a conversation cannot continue"
        raise PluginError(refusals.unsupported(chosen.name, why, context)) from error
    except Exception as error:  # templates and the code of tasks raise what they like
        raise PluginError(refusals.failed(chosen.name, "its prompts were made", error, context)) from error
    why_not = _why_not(asked, options)
    if why_not:
        raise PluginError(refusals.unsupported(chosen.name, why_not, context))
    return asked


def _instances(chosen: ChosenTask, number: int, document: Document, prompt: str) -> list[Instance]:
    task = chosen.task
    how = {"apply_chat_template": prompt != "text", "chat_template": None if prompt == "text" else _as_turns}
    shown = task.fewshot_context(
        doc=document,
        num_fewshot=task.get_config("num_fewshot"),
        fewshot_as_multiturn=prompt == "turns",
        gen_prefix=task.doc_to_prefix(document),
        **how,
    )
    return as_list(task.construct_requests(document, shown, metadata=(chosen.name, number, 1), **how))


class _BegunAnswerError(Exception):
    """The last turn is the assistant's."""


def _as_turns(history: Sequence[Mapping[str, str]], *, add_generation_prompt: bool) -> tuple[Message, ...]:
    """What the harness calls to render turns; it passes on what it gets."""
    if not add_generation_prompt:
        raise _BegunAnswerError
    # The harness knows three roles, all of them ours.
    return tuple(Message(turn["role"], turn["content"]) for turn in history)  # type: ignore[arg-type]


def _why_not(asked: Sequence[Asked], options: LmEvalOptions) -> str | None:
    instances = [instance for each in asked for instance in each.instances]
    kinds = {instance.request_type for instance in instances}
    if not kinds <= ANSWERED:
        return f"makes requests of the kind {', '.join(sorted(kinds - ANSWERED))}"
    if options.prompt == "text" and not all(turns(instance)[0].content for instance in instances):
        return "asks how likely an answer is after no prompt at all, which plain text cannot"
    return None
