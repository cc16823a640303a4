"""What is refused, and how the errors teach."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval_fakes import FakePredictor, Heard, options, scores
from lm_eval_tasks import refusal, write_task
from lorasdk_lm_eval.evaluator import LmEval
from lorasdk_lm_eval.options import LmEvalOptions
from pydantic import ValidationError

from lorasdk import DataError, PluginError


def test_a_misspelt_task_is_told_what_it_may_have_meant(tmp_path: Path):
    (problem,) = refusal(tmp_path, LmEvalOptions(tasks=("arc_eassy",)))
    assert (problem.code, problem.place) == ("lm_eval.unknown-task", "recipe.yaml:9:5")
    assert "'arc_easy'" in problem.fix


def test_all_misspelt_tasks_are_told_at_once(tmp_path: Path):
    problems = refusal(tmp_path, LmEvalOptions(tasks=("arc_eassy", "lambada_opena")))
    assert [problem.found for problem in problems] == ["'arc_eassy'", "'lambada_opena'"]


def test_a_folder_that_is_not_there(tmp_path: Path):
    (problem,) = refusal(tmp_path, options("own", include_path="nowhere"))
    assert problem.code == "lm_eval.no-folder"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("humaneval", "runs code that the model writes"),
        ("cruxeval_input", "runs code that the model writes"),
        ("longproc_countdown_2k", "runs code that the model writes"),
        ("wikitext", "without a prompt"),
        ("mmmu_val_accounting", "images or sounds"),
    ],
)
def test_tasks_that_need_what_cannot_be_had_here_are_refused_unloaded(task: str, reason: str, tmp_path: Path):
    (problem,) = refusal(tmp_path, LmEvalOptions(tasks=(task,)))
    assert problem.code == "lm_eval.unsupported-task"
    assert reason in problem.message


def test_a_task_out_of_reach_is_a_data_error_with_its_cause(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        LmEval().examples(LmEvalOptions(tasks=("arc_easy",), limit=2), Heard().context(tmp_path))
    assert caught.value.code == "lm_eval.no-data"
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert "allenai/ai2_arc" in caught.value.problems[0].message


def test_missing_data_of_an_own_task_is_a_data_error(tmp_path: Path):
    asked = write_task(tmp_path)
    (tmp_path / "tasks" / "rows.jsonl").unlink()
    (problem,) = refusal(tmp_path, asked, DataError)
    assert "rows.jsonl" in problem.message


def test_a_metric_that_the_task_lacks_is_told_those_it_has():
    (problem,) = refusal_of_toys("toy_colours", metric="bleu")
    assert (problem.code, problem.allowed) == ("lm_eval.unknown-metric", "acc, acc_norm, mcc")


def refusal_of_toys(*tasks: str, **more: object):
    with pytest.raises(PluginError) as caught:
        LmEval().examples(options(*tasks, **more), Heard().context())
    return caught.value.problems


def test_a_metric_whose_aggregate_is_no_mean_is_told_those_that_are():
    (problem,) = refusal_of_toys("toy_colours", metric="mcc")
    assert (problem.code, problem.allowed) == ("lm_eval.unsupported-metric", "acc, acc_norm")


def test_a_metric_that_is_better_when_lower_is_refused(tmp_path: Path):
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": False}
    (problem,) = refusal(tmp_path, write_task(tmp_path, metric_list=[metric]))
    assert (problem.code, problem.allowed) == ("lm_eval.unsupported-metric", "none of this task's metrics")


def test_a_filter_that_the_task_lacks_is_told_those_it_has():
    (problem,) = refusal_of_toys("toy_sums", answer_filter="strict")
    assert (problem.code, problem.allowed) == ("lm_eval.unknown-filter", "whole, number")


def test_many_answers_to_one_prompt_are_refused(tmp_path: Path):
    (problem,) = refusal(tmp_path, write_task(tmp_path, repeats=8))
    assert "draws 8 answers" in problem.message


def test_an_answer_that_the_task_begins_is_refused_as_turns(tmp_path: Path):
    asked = write_task(tmp_path, gen_prefix="It is")
    (problem,) = refusal(tmp_path, asked)
    assert "gen_prefix" in problem.message


def test_an_answer_that_the_task_begins_is_fine_in_plain_text(tmp_path: Path):
    asked = write_task(tmp_path, gen_prefix="It is").model_copy(update={"prompt": "text"})
    predictor = FakePredictor(texts={"lemon": "1"})
    assert scores(asked, predictor, base_dir=tmp_path) == [1.0]
    assert predictor.prompts[0][0].content == "Which colour has a ripe lemon? It is"


def test_a_template_that_fails_is_the_tasks_fault(tmp_path: Path):
    (problem,) = refusal(tmp_path, write_task(tmp_path, doc_to_text="{{ no_such_column }}"))
    assert problem.code == "lm_eval.task-failed"
    assert "no_such_column" in problem.message


def test_a_metric_that_gives_no_number_is_told(tmp_path: Path):
    metric = {"metric": "likelihood", "aggregation": "mean", "higher_is_better": True}
    asked = write_task(
        tmp_path, output_type="multiple_choice", doc_to_choice="choices", generation_kwargs=None, metric_list=[metric]
    )
    with pytest.raises(PluginError) as caught:
        scores(asked, FakePredictor(), base_dir=tmp_path)
    assert caught.value.code == "lm_eval.no-score"


def test_drawn_answers_are_told(tmp_path: Path):
    heard = Heard()
    asked = write_task(tmp_path, generation_kwargs={"until": ["\n"], "do_sample": True, "temperature": 0.8})
    LmEval().examples(asked, heard.context(tmp_path))
    assert heard.codes == ["lm_eval.not-sampled"]


def test_shots_that_a_task_never_has_are_told(tmp_path: Path):
    heard = Heard()
    asked = write_task(tmp_path, num_fewshot=0).model_copy(update={"num_fewshot": 3})
    LmEval().examples(asked, heard.context(tmp_path))
    assert heard.codes == ["lm_eval.fixed-shots"]


def test_what_the_harness_warns_of_is_told(tmp_path: Path):
    heard = Heard()
    LmEval().examples(write_task(tmp_path, metric_list=[{"metric": "exact_match"}]), heard.context(tmp_path))
    assert heard.codes == ["lm_eval.harness"] * 2
    assert "aggregation is not" in heard.notices[0][1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"tasks": []},
        {"tasks": "arc_easy"},
        {"limit": 0},
        {"limit": True},
        {"limit": 0.5},
        {"num_fewshot": -1},
        {"prompt": "chat"},
        {"shots": 3},
    ],
)
def test_options_are_closed(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        LmEvalOptions.model_validate({"tasks": ["arc_easy"], **wrong})
