"""What every plugin must honour."""

from __future__ import annotations

import threading

from lm_eval_fakes import TOY_TASKS, FakePredictor, options, scores
from lorasdk_lm_eval import LmEvalPlugin, plugin

from lorasdk.testing import check_plugin

TOYS = {"tasks": ["toy_colours", "toy_sums", "toy_last_word"], "include_path": str(TOY_TASKS), "prompt": "one_turn"}


def test_it_honours_what_every_plugin_must():
    check_plugin(plugin, options={"lm_eval": TOYS})


def test_nothing_is_trusted_unless_a_program_says_so():
    assert [each.trust_task_code for each in plugin.evaluators()] == [False]
    assert [each.trust_task_code for each in LmEvalPlugin(trust_task_code=True).evaluators()] == [True]


def test_no_thread_stays():
    before = threading.enumerate()
    scores(options("toy_sums"), FakePredictor(texts={"=": "5"}))
    assert threading.enumerate() == before
