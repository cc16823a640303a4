"""Has a predictor answer requests: one call for all given answers, one for all that are to be generated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorasdk import Completion, EvaluationContext, Predictor
from lorasdk_lm_eval.documents import turns
from lorasdk_lm_eval.harness import Instance

MAX_TOKENS = 256
"""What the harness allows an answer when a task says nothing."""


def answer(
    instances: Sequence[Instance], predictor: Predictor, context: EvaluationContext, *, keep_white_space: bool
) -> None:
    """Put the predictor's answer into each request.

    Args:
        instances: requests of any tasks.
        predictor: asked once for each kind of request, so that it can batch and share what prompts have in common.
        context: hears when answers were cut short.
        keep_white_space: whether answers go on from the prompt's text, white space before them included, and do not
            begin a turn.
    """
    given = [instance for instance in instances if instance.request_type == "loglikelihood"]
    if given:
        _score(given, predictor, keep_white_space=keep_white_space)
    context.check_stop()
    open_ones = [instance for instance in instances if instance.request_type == "generate_until"]
    if open_ones:
        _generate(open_ones, predictor, context)


def _score(instances: Sequence[Instance], predictor: Predictor, *, keep_white_space: bool) -> None:
    # What only joins an answer to the text before it does not belong at the beginning of a turn.
    answers = [text if keep_white_space else text.lstrip() for text in (each.arguments[1] for each in instances)]
    scores = predictor.log_probabilities([turns(each) for each in instances], answers)
    for instance, score in zip(instances, scores, strict=True):
        instance.resps.append((score.log_probability, score.greedy))


def _generate(instances: Sequence[Instance], predictor: Predictor, context: EvaluationContext) -> None:
    completions = predictor.complete([turns(each) for each in instances])
    short = 0
    for instance, completion in zip(instances, completions, strict=True):
        wanted = instance.arguments[1]
        text = cut(completion.text, _stops(wanted.get("until")))
        instance.resps.append(text)
        short += text == completion.text and _is_short(completion, wanted.get("max_gen_toks", MAX_TOKENS))
    if short:
        context.notify(
            "lm_eval.cut-short",
            f"{short} of {len(instances)} answers ended at generation.max_new_tokens, before the task's own limit; "
            "raise it to score them whole",
        )


def cut(text: str, stops: Iterable[str]) -> str:
    """The text before the first of the stop sequences."""
    return text[: min((at for at in map(text.find, stops) if at >= 0), default=len(text))]


def _stops(until: str | Sequence[str] | None) -> list[str]:
    return [stop for stop in ([until] if isinstance(until, str) else until or ()) if stop]


def _is_short(completion: Completion, allowed: int) -> bool:
    return completion.finish_reason == "length" and completion.completion_tokens < allowed


def is_sampled(instance: Instance) -> bool:
    """Whether the task wants the answer drawn."""
    if instance.request_type != "generate_until":
        return False
    wanted = instance.arguments[1]
    return bool(wanted.get("do_sample")) or wanted.get("temperature", 0) > 0
