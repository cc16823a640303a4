"""Words that two answers do not share are marked, in any script, and long texts are cut."""

import random
import time

from lorasdk.eval_report import AnswerPair, EvalReport, Score
from lorasdk.report.choosing_answers import MOST, choose_answers, shared_beginning
from lorasdk.report.differences import SHOWN, compared, shortened


def marked(one: str, other: str) -> tuple[str, str]:
    texts = compared(one, other)
    return tuple("".join(f"[{p.text}]" if p.differs else p.text for p in text.pieces) for text in texts)


def test_words_that_differ_are_marked_together():
    assert marked("a large grey cat sat", "a small dog sat") == ("a [large grey cat] sat", "a [small dog] sat")
    assert marked("same", "same") == ("same", "same")
    assert marked("", "new words") == ("", "[new words]")
    assert marked("这是一只猫", "这是一只狗") == ("这是一只[猫]", "这是一只[狗]")


def test_nothing_of_a_text_is_lost():
    rng = random.Random(4)
    for _ in range(200):
        one, other = ("".join(rng.choices("ab ,\n猫é\u202e", k=30)) for _ in range(2))
        texts = compared(one, other)
        assert ["".join(piece.text for piece in text.pieces) for text in texts] == [one, other]


def test_a_long_text_is_cut_and_kept():
    text = shortened("x" * 100_000)
    assert ("".join(piece.text for piece in text.pieces), text.whole) == ("x" * SHOWN, "x" * 100_000)
    assert shortened("x" * SHOWN).whole is None


def test_comparing_long_answers_takes_no_time():
    began = time.perf_counter()
    for seed in range(20):
        rng = random.Random(seed)
        compared("".join(rng.choices("ab ", k=100_000)), "".join(rng.choices("ab ", k=100_000)))
    assert time.perf_counter() - began < 3


def report(base: list[float], tuned: list[float]) -> EvalReport:
    pairs = tuple(AnswerPair(row, "q", "r", f"b{row}", f"t{row}") for row in range(1, len(base) + 1))
    score = Score("exact_match", 0, 0, tuple(base), tuple(tuned))
    return EvalReport(len(base), (score,), 1.0, answers=pairs)


def test_rows_that_flipped_come_first_both_ways_and_their_number_is_bounded():
    base, tuned = [1.0] * 30 + [0.0] * 70, [0.0] * 20 + [1.0] * 60 + [0.0] * 20
    chosen = choose_answers(report(base, tuned))
    fates = [answer.fate for answer in chosen.shown]
    assert len(fates) == MOST
    assert fates[:16] == ["lost"] * 8 + ["gained"] * 8
    assert (chosen.lost, chosen.gained, chosen.rows, chosen.evaluator) == (20, 50, 100, "exact_match")


def test_where_few_rows_flipped_others_fill_the_page():
    chosen = choose_answers(report([1.0] * 10 + [0.0] * 30, [0.0] + [1.0] * 9 + [0.0] * 30))
    assert [answer.fate for answer in chosen.shown] == ["lost"] + ["wrong"] * 19


def test_scores_that_are_no_yes_and_no_are_ordered_by_what_became_of_them():
    assert [answer.fate for answer in choose_answers(report([0.5, 0.2, 0.3], [0.1, 0.6, 0.3])).shown] == [
        "worse", "improved", "equal",
    ]  # fmt: skip


def test_what_all_prompts_begin_with_is_said_once():
    prompts = [f"Which kind of thing is it? Answer with one word.\n\n{thing}\n" for thing in ("a ferry", "a fern")]
    assert shared_beginning(prompts) == "Which kind of thing is it? Answer with one word.\n\n"
    pairs = tuple(AnswerPair(row, prompt, "r", "b", "t") for row, prompt in enumerate(prompts, start=1))
    chosen = choose_answers(EvalReport(2, (), 1.0, answers=pairs))
    assert chosen.beginning == shortened("Which kind of thing is it? Answer with one word.")
    assert [answer.prompt.pieces[0].text for answer in chosen.shown] == ["a ferry\n", "a fern\n"]


def test_a_prompt_never_loses_all_it_has():
    same = "Which kind of thing is it? Answer with one word.\n"
    assert shared_beginning([same, same]) == ""
    assert shared_beginning([same + "a fern"]) == ""
    assert shared_beginning(["short\na", "short\nb"]) == ""
    assert shared_beginning([]) == ""


def test_answers_without_scores_are_shown_without_a_judgement():
    pairs = (AnswerPair(1, "q", "r", "b", "t"),)
    chosen = choose_answers(EvalReport(1, (), 1.0, answers=pairs))
    assert (chosen.shown[0].fate, chosen.evaluator) == ("equal", None)
