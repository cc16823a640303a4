"""What is asked of the predictor, and what its answers are worth."""

from __future__ import annotations

import pytest
from lm_eval_fakes import FakePredictor, Heard, options, scores
from lorasdk_lm_eval.answering import cut
from lorasdk_lm_eval.evaluator import LmEval

from lorasdk import InferenceError, Message, Problem

SUMS = {"2 + 3": "5", "4 + 4": "9"}


def test_a_choice_counts_where_the_right_answer_is_the_likeliest():
    predictor = FakePredictor(likely=["yellow", "a deep dark green", "green"])
    assert scores(options("toy_colours"), predictor) == [1.0, 0.0, 1.0]


def test_another_metric_of_the_task_can_be_chosen():
    # Per character, "a deep dark green" is likelier than "white", though each of its tokens is as unlikely.
    asked = options("toy_colours", metric="acc_norm")
    assert scores(asked, FakePredictor(likely=["yellow", "green"])) == [1.0, 0.0, 1.0]
    assert scores(options("toy_colours"), FakePredictor(likely=["yellow", "green"])) == [1.0, 1.0, 1.0]


def test_a_choice_begins_the_turn_without_the_space_that_joins_texts():
    predictor = FakePredictor()
    scores(options("toy_colours", limit=1), predictor)
    assert predictor.answers == ["blue", "yellow"]
    assert predictor.prompts == [(Message("user", "Which colour has a ripe lemon?\nAnswer:"),)] * 2


def test_plain_text_keeps_the_space():
    predictor = FakePredictor()
    scores(options("toy_colours", limit=1, prompt="text"), predictor)
    assert predictor.answers == [" blue", " yellow"]


def test_shown_examples_are_turns_of_their_own():
    predictor = FakePredictor()
    scores(options("toy_colours", limit=1, num_fewshot=2), predictor)
    prompt = predictor.prompts[0]
    assert [turn.role for turn in prompt] == ["user", "assistant", "user", "assistant", "user"]
    assert {prompt[1].content, prompt[3].content} <= {"black", "red", "white", "brown"}


@pytest.mark.parametrize("prompt", ["one_turn", "text"])
def test_shown_examples_can_stand_in_one_turn(prompt: str):
    predictor = FakePredictor()
    scores(options("toy_colours", limit=1, num_fewshot=2, prompt=prompt), predictor)
    (turn,) = predictor.prompts[0]
    assert turn.content.count("\n\n") == 2
    assert turn.content.endswith("ripe lemon?\nAnswer:")


def test_the_description_is_a_system_turn():
    predictor = FakePredictor(texts=SUMS)
    scores(options("toy_sums", limit=1), predictor)
    assert predictor.prompts == [(Message("system", "Add the numbers."), Message("user", "2 + 3 ="))]


def test_the_description_begins_a_plain_text():
    predictor = FakePredictor(texts=SUMS)
    scores(options("toy_sums", limit=1, prompt="text"), predictor)
    assert predictor.prompts == [(Message("user", "Add the numbers.2 + 3 ="),)]


def test_generated_answers_are_cut_at_the_tasks_stop_sequences():
    texts = {"2 + 3": "5\nand 6", "4 + 4": "It is 8. Surely"}
    assert scores(options("toy_sums"), FakePredictor(texts=texts)) == [1.0, 0.0]


def test_another_filter_of_the_task_can_be_chosen():
    texts = {"2 + 3": "5\nand 6", "4 + 4": "It is 8. Surely"}
    assert scores(options("toy_sums", answer_filter="number"), FakePredictor(texts=texts)) == [1.0, 1.0]


def test_the_first_stop_sequence_counts_and_not_the_first_in_the_list():
    assert cut("a; b. c", [".", ";"]) == "a"
    assert cut("abc", [".", ";"]) == "abc"


def test_an_answer_that_the_model_would_give_itself_counts():
    predictor = FakePredictor(likely=["lamp"])
    assert scores(options("toy_last_word"), predictor) == [0.0, 1.0]
    assert predictor.answers == ["flour", "lamp"]


def test_all_requests_of_a_kind_are_one_call():
    predictor = FakePredictor(likely=["yellow", "white", "green"], texts=SUMS)
    found = scores(options("toy_colours", "toy_sums", "toy_last_word"), predictor)
    assert sorted(predictor.asked) == ["complete", "log_probabilities"]
    assert found == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("name", "expected"), [("toy_both", [1, 0, 0, 0, 0]), ("toy", [0, 0, 0, 1, 0])])
def test_groups_and_tags_stand_for_their_tasks(name: str, expected: list[int]):
    assert scores(options(name), FakePredictor(likely=["violet", "blue", "a deep dark green"], texts=SUMS)) == expected


def test_examples_show_the_question_and_the_answer_that_counts():
    evaluator = LmEval()
    examples = evaluator.examples(options("toy_colours", "toy_sums", "toy_last_word", limit=1), Heard().context())
    assert [example.row for example in examples] == [1, 2, 3]
    assert [example.reference for example in examples] == ["yellow", "5", "flour"]
    assert examples[1].prompt == (Message("system", "Add the numbers."), Message("user", "2 + 3 ="))


def test_documents_are_the_same_at_each_call():
    asked, context = options("toy_colours", num_fewshot=2), Heard().context()
    assert LmEval().examples(asked, context) == LmEval().examples(asked, context)


def test_answers_cut_by_the_recipes_limit_are_told():
    heard = Heard()
    scores(options("toy_sums"), FakePredictor(texts=SUMS, tokens=8, finish_reason="length"), heard)
    ((code, sentence),) = heard.notices
    assert code == "lm_eval.cut-short"
    assert sentence.startswith("2 of 2 answers ended at generation.max_new_tokens")


@pytest.mark.parametrize(("tokens", "text"), [(16, "5 or"), (8, "5\nor")])
def test_answers_that_reached_the_tasks_limit_or_its_stop_are_whole(tokens: int, text: str):
    heard = Heard()
    texts = {"2 + 3": text, "4 + 4": text}
    scores(options("toy_sums"), FakePredictor(texts=texts, tokens=tokens, finish_reason="length"), heard)
    assert heard.notices == []


def test_a_stop_is_asked_for_between_the_kinds_of_request():
    class WantedNoMoreError(Exception):
        pass

    predictor = FakePredictor(texts=SUMS)

    def check_stop() -> None:
        if predictor.asked:
            raise WantedNoMoreError

    with pytest.raises(WantedNoMoreError):
        scores(options("toy_colours", "toy_sums"), predictor, check_stop=check_stop)
    assert predictor.asked == ["log_probabilities"]


def test_what_the_predictor_says_is_wrong_stays_its_own_error():
    class Refusing(FakePredictor):
        def complete(self, prompts):
            raise InferenceError(Problem(code="inference.prompt-too-long", message="too long"))

    with pytest.raises(InferenceError, match="too long"):
        scores(options("toy_sums"), Refusing())
