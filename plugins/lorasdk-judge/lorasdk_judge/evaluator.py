"""The evaluator `llm_judge`: a model grades each answer alone, on a scale, by a rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from lorasdk import DataError, EvaluationContext, Example, InferenceError, PluginError, Predictor
from lorasdk_judge import refusals
from lorasdk_judge.cache import VerdictCache
from lorasdk_judge.hearing import Hearing
from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.prompt import DEFAULT_RUBRIC, Case, make_case
from lorasdk_judge.spending import Spending
from lorasdk_judge.verdict import Verdict, normalised
from lorasdk_judge.waiting import run_watched


class LlmJudge:
    """A model's grade of each answer, 0 (worst) to 1 (best).

    The judge sees question, reference and answer, never which model answered. Equal questions are asked once.
    """

    name = "llm_judge"
    summary = "a model behind an OpenAI-compatible endpoint grades the answer by a rubric"
    higher_is_better = True
    Options = JudgeOptions

    def score(
        self, options: JudgeOptions, examples: Sequence[Example], predictor: Predictor, context: EvaluationContext
    ) -> list[float]:
        """Have every answer of `predictor` judged; one score per example, from 0 to 1.

        Raises:
            DataError: an example is plain text and has no question.
            InferenceError: the judge's endpoint cannot be used, `max_cost` is reached, or rows got no verdict.
            PluginError: the rubric's file cannot be read.
        """
        rubric = _rubric(options, context)
        _refuse_plain_text(examples, context)
        answers = predictor.complete([example.prompt for example in examples])
        cases = [
            make_case(example, answer.text, rubric=rubric, options=options)
            for example, answer in zip(examples, answers, strict=True)
        ]
        verdicts = _verdicts(cases, options, context)
        return [normalised(verdicts[case.key], options) for case in cases]


def _rubric(options: JudgeOptions, context: EvaluationContext) -> str:
    if options.rubric_file is None:
        return options.rubric or DEFAULT_RUBRIC
    path = context.base_dir / options.rubric_file
    try:
        rubric = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(refusals.rubric_unreadable(path, str(error), context.place)) from error
    if not rubric.strip():
        raise PluginError(refusals.rubric_unreadable(path, "an empty file", context.place))
    return rubric


def _refuse_plain_text(examples: Sequence[Example], context: EvaluationContext) -> None:
    problems = [refusals.no_question(example.row, context.place) for example in examples if example.text is not None]
    if problems:
        raise DataError(*problems)


def _verdicts(cases: Sequence[Case], options: JudgeOptions, context: EvaluationContext) -> Mapping[str, Verdict]:
    """A verdict for each case's key, from the cache or from the judge."""
    spending, cache = Spending(options), VerdictCache.of_user() if options.cache else None
    verdicts: dict[str, Verdict] = {}

    def keep(key: str, verdict: Verdict) -> None:
        verdicts[key] = verdict
        if cache is not None:
            cache.keep(key, verdict)

    distinct = {case.key: case for case in cases}
    if cache is not None:
        verdicts.update((key, known) for key in distinct if (known := cache.recall(key, options)) is not None)
    spending.cached = len(verdicts)
    hearing = Hearing(options, spending, context.place, keep)
    try:
        open_cases = [case for key, case in distinct.items() if key not in verdicts]
        if open_cases:
            run_watched(partial(hearing.hear, open_cases), check_stop=context.check_stop)
    finally:  # what was spent is told also when it was for nothing
        _tell(hearing, cache, context)
    if hearing.failures:
        first = hearing.failures[min(hearing.failures)]
        raise InferenceError(*refusals.unjudged(hearing.failures, context.place)) from first
    return verdicts


def _tell(hearing: Hearing, cache: VerdictCache | None, context: EvaluationContext) -> None:
    if hearing.refuses_form:
        context.notify("judge.plain-text", "the endpoint takes no response_format; verdicts were read from plain text")
    if cache is not None and cache.damaged:
        context.notify("judge.cache-damaged", f"{cache.damaged} damaged verdicts in {cache.folder} were asked for anew")
    if cache is not None and cache.unwritable:
        context.notify("judge.cache-unwritable", f"verdicts cannot be kept for the next time: {cache.unwritable}")
    context.notify("judge.cost", f"judging the answers of {context.label}: {hearing.spending}")
