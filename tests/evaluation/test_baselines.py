import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from lorasdk.contracts import Example, Message
from lorasdk.evaluation import baselines as module
from lorasdk.evaluation.baselines import baselines

ENGLISH = {"animal": ["dog", "cat", "horse"], "plant": ["oak", "rose", "fern"], "tool": ["saw", "axe", "drill"]}
CHINESE = {"动物": ["小狗", "小猫", "骏马"], "植物": ["橡树", "玫瑰", "蕨类"], "工具": ["锯子", "斧头", "钻机"]}


def row(asked: str, label: str, number: int = 1) -> Example:
    return Example(number, (Message("user", asked), Message("assistant", label)))


def rows(things: dict[str, list[str]], template: str, number: int, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    labels = list(things)
    chosen = [labels[rng.integers(len(labels))] for _ in range(number)]
    return [row(template.format(things[label][rng.integers(3)]), label, i) for i, label in enumerate(chosen)]


def accuracies(test: list[Example], training: list[Example], **options: int) -> dict[str, float]:
    found = baselines(test, training, [0.0] * len(test), seed=options.get("seed", 0))
    return {each.name: each.accuracy for each in found}


@pytest.mark.parametrize(
    ("things", "template"), [(ENGLISH, "What is a {}?"), (CHINESE, "那边的{}属于哪一类？"), (CHINESE, "Which is {}?")]
)
def test_words_and_where_there_are_no_spaces_characters_tell_the_labels(things: dict, template: str):
    found = accuracies(rows(things, template, 60, seed=1), rows(things, template, 200))
    assert found["bag of words"] == 1
    assert found["majority"] < 0.5


def test_chinese_is_taken_apart_into_characters_and_pairs_and_other_text_into_words():
    assert list(module._terms("Über-Café 猫和狗")) == ["über", "café", "猫", "和", "狗", "猫和", "和狗"]


def test_majority_is_the_most_frequent_label_of_the_training_rows():
    test = [row("a", "Yes."), row("b", "no"), row("c", "no"), row("d", "no")]
    assert accuracies(test, [row("x", "yes"), row("y", "YES"), row("z", "no")])["majority"] == 0.25


def test_an_instruction_that_all_rows_share_does_not_speak_for_short_rows():
    instruction = "Say which of the following kinds of thing the following word names : " * 5
    wordy = {**ENGLISH, "plant": [f"{name} over there between the old wall and our gate" for name in ENGLISH["plant"]]}
    found = accuracies(rows(ENGLISH, instruction + "{}", 60, seed=1), rows(wordy, instruction + "{}", 200))
    assert found["bag of words"] == 1


def test_all_turns_before_the_answer_are_read():
    def talk(word: str, label: str) -> Example:
        turns = (Message("user", word), Message("assistant", "hm"), Message("user", "so?"), Message("assistant", label))
        return Example(1, turns)

    training = [talk("dog", "animal"), talk("oak", "plant"), talk("dog", "animal"), talk("oak", "plant")]
    assert accuracies(training, training)["bag of words"] == 1


def test_rows_without_words_to_tell_them_apart_leave_the_majority_alone():
    same = [row("what?", "yes"), row("what?", "no"), row("what?", "no")]
    assert list(accuracies(same, same)) == ["majority"]
    assert list(accuracies(same, [row("!!", "yes"), row("??", "no")])) == ["majority"]
    assert list(accuracies(same, same[:1])) == ["majority"]


def test_without_training_rows_there_is_nothing_to_compare_with():
    assert baselines([row("a", "b")] * 2, [], [1.0, 1.0], seed=0) == ()


def test_a_tuned_model_that_does_not_beat_naive_bayes_is_shown_not_to():
    test, training = rows(ENGLISH, "What is a {}?", 60, seed=1), rows(ENGLISH, "What is a {}?", 200)
    right = [float(i % 15 != 0) for i in range(60)]
    majority, words = baselines(test, training, right, seed=0)
    assert (majority.verdict, words.verdict) == ("better", "no evidence")
    assert words.interval.low < 56 / 60 - words.accuracy < words.interval.high
    assert baselines(test, training, [0.0] * 60, seed=0)[1].verdict == "worse"


def test_of_many_training_rows_a_sample_is_used_that_the_seed_decides(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    training = rows(ENGLISH, "What is a {}?", 500)
    one, again, other = ([r.row for r in module._known(training, seed)] for seed in (1, 1, 2))
    assert one == again == sorted(one)
    assert (len(one), one != other) == (30, True)


def test_rare_labels_and_plain_text_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "MOST_LABELS", 2)
    training = [row("a", "x"), row("b", "y"), row("c", "z"), row("d", "y"), row("e", "x"), Example(6, text="x")]
    assert {r.reference for r in module._known(training, 0)} == {"x", "y"}


def test_the_hosts_random_numbers_and_thread_pools_are_left_alone():
    np.random.seed(3)
    accuracies(rows(ENGLISH, "{}", 9), rows(ENGLISH, "{}", 9))  # loads the libraries
    before = np.random.get_state()[1].tolist(), threadpool_info()
    accuracies(rows(ENGLISH, "{}", 9), rows(ENGLISH, "{}", 9))
    assert (np.random.get_state()[1].tolist(), threadpool_info()) == before


def test_nothing_of_scikit_learns_import_stays_with_the_host():
    code = (
        "import os, warnings, threading, numpy\n"
        "from lorasdk.contracts import Example, Message\n"
        "before = dict(os.environ), list(warnings.filters), threading.active_count()\n"
        "from lorasdk.evaluation.baselines import baselines\n"
        "rows = [Example(1, (Message('user', w), Message('assistant', w))) for w in ('dog', 'cat', 'dog')]\n"
        "assert len(baselines(rows, rows, [1.0] * 3, seed=0)) == 2\n"
        "assert (dict(os.environ), list(warnings.filters), threading.active_count()) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
