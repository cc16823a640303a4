from __future__ import annotations

from local_judge import KEY, LocalJudge
from lorasdk_judge import plugin

from lorasdk.testing import check_plugin


def test_it_honours_what_every_plugin_must(judge: LocalJudge) -> None:
    """The cache is off, so that equal scores are the judge's and not remembered ones."""
    options = {"model": "local", "base_url": judge.url, "api_key": KEY, "attempts": 1, "cache": False}

    check_plugin(plugin, options={"llm_judge": options})

    assert len(judge.asked) >= 6
