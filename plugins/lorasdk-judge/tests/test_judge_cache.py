from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from judging import Round
from local_judge import KEY, LocalJudge
from lorasdk_judge.cache import VerdictCache
from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.verdict import Verdict

OPTIONS = JudgeOptions(model="local", base_url="http://localhost/v1")
NAME = "ab" * 32


def entries(cache_dir: Path) -> list[Path]:
    return sorted(path for path in cache_dir.rglob("*") if path.is_file())


def test_nothing_is_asked_twice(judge: LocalJudge) -> None:
    first = Round(judge).score()
    judge.asked.clear()

    assert Round(judge).score() == first
    assert not judge.asked


def test_without_cache_everything_is_asked_again_and_nothing_kept(judge: LocalJudge, cache_dir: Path) -> None:
    Round(judge).score(cache=False)
    Round(judge).score(cache=False)

    assert len(judge.asked) == 6
    assert not cache_dir.exists()


def test_another_key_of_the_endpoint_finds_the_same_verdicts(judge: LocalJudge) -> None:
    Round(judge).score()
    Round(judge).score(api_key="another")

    assert len(judge.asked) == 3


def test_entries_hold_neither_key_nor_question_nor_answer(judge: LocalJudge, cache_dir: Path) -> None:
    Round(judge).score()

    everything = " ".join(f"{path} {path.read_text(encoding='utf-8')}" for path in entries(cache_dir))
    assert len(entries(cache_dir)) == 3
    assert not [word for word in (KEY, "Paris", "London", "France") if word in everything]


@pytest.mark.parametrize("content", [b"", b"{", b'{"reason": "x", "score": 9}', b"\xff", b"[]"])
def test_damaged_entries_are_told_and_asked_anew(judge: LocalJudge, cache_dir: Path, content: bytes) -> None:
    Round(judge).score()
    judge.asked.clear()
    entries(cache_dir)[0].write_bytes(content)
    tuned = Round(judge)

    assert tuned.score() == [1.0, 0.0, 0.0]
    assert len(judge.asked) == 1
    assert "1 damaged" in tuned.notice("judge.cache-damaged")
    assert "judge.cache-damaged" not in dict(Round(judge).told)


def test_a_cache_that_cannot_be_written_is_told_once(judge: LocalJudge, cache_dir: Path) -> None:
    cache_dir.mkdir()
    (cache_dir / "lorasdk").write_text("in the way", encoding="utf-8")
    tuned = Round(judge)

    assert tuned.score() == [1.0, 0.0, 0.0]
    assert [code for code, _ in tuned.told].count("judge.cache-unwritable") == 1


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    cache = VerdictCache(tmp_path)
    cache.keep(NAME, Verdict(reason="x", score=1))

    assert not entries(tmp_path)
    assert "No space left" in cache.unwritable


def test_writers_of_one_entry_do_not_disturb_readers(tmp_path: Path) -> None:
    VerdictCache(tmp_path).keep(NAME, Verdict(reason="0", score=1))

    def work(i: int) -> bool:
        cache = VerdictCache(tmp_path)
        cache.keep(NAME, Verdict(reason="x" * (i * 997), score=1))
        return cache.recall(NAME, OPTIONS) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))
    assert len(entries(tmp_path)) == 1
