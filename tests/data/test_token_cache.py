"""The same data is encoded once; what decides the rows decides the entry; a bad cache never stops the work."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_training import chat, encoder_of

from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit, Remembered, prepare_split
from lorasdk.data.token_cache import TokenCache, rows_key
from lorasdk.data.token_store import RowWriter
from lorasdk.events import Event, Notice
from lorasdk.recipe.schema import DataSection

EXAMPLES = [chat("hi <|im_end|>", "yo", row=1), chat("hi", "yo " * 40, row=2)]


def prepare(encoder: Encoder, cache: TokenCache, events: list[Event], **section: object) -> PreparedSplit:
    settings = DataSection.model_validate({"train": "rows.jsonl", "max_tokens": 60, "too_long": "drop", **section})
    remembered = Remembered(cache, Examples.of(EXAMPLES, skipped=0).identity)
    return prepare_split("train", EXAMPLES, encoder, settings, skipped=0, emit=events.append, remembered=remembered)


def key(encoder: Encoder, content: str = "a", **section: object) -> str:
    settings = DataSection.model_validate({"train": "rows.jsonl", **section})
    return rows_key(content, split="train", encoder=encoder, section=settings)


def one_row(number: int) -> RowWriter:
    writer = RowWriter()
    writer.append(TokenRow(number, (1, 2), ((1, 2),)))
    return writer


def silent(_event: Event) -> None: ...


def test_a_second_time_nothing_is_encoded_or_proved_and_the_same_is_said(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoder, first, second = encoder_of(tiny_model_dir), [], []
    made = prepare(encoder, TokenCache(tmp_path), first)
    monkeypatch.setattr(Encoder, "encode_example", lambda *_args, **_settings: pytest.fail("encoded again"))
    monkeypatch.setattr(Encoder, "encode_prompt", lambda *_args, **_settings: pytest.fail("proved again"))
    recalled = prepare(encoder, TokenCache(tmp_path), second)
    assert list(recalled.rows) == list(made.rows)
    assert list(recalled.examples) == EXAMPLES[:1]
    assert second == first
    assert [event.code for event in first[:-1] if isinstance(event, Notice)] == [
        "data.dropped-too-long",
        "data.control-tokens",
    ]


def test_whatever_decides_the_rows_decides_the_entry(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    other = encoder_of(tiny_model_dir, template="chatml")
    keys = [key(encoder), key(encoder, "b"), key(other), key(replace(encoder, end_of_turn=5))]
    keys += [key(encoder, max_tokens=7), key(encoder, too_long="drop"), key(encoder, train_on="last_turn")]
    assert len(set(keys)) == len(keys)
    assert key(encoder) == keys[0]


def test_row_numbers_are_part_of_what_rows_are_made_from():
    first, second = (Examples.of([chat("hi", "yo", row=row)], skipped=0) for row in (1, 2))
    assert first.sha256 == second.sha256
    assert first.identity != second.identity


def test_a_damaged_entry_is_told_and_made_anew(tiny_model_dir: Path, tmp_path: Path):
    encoder, events = encoder_of(tiny_model_dir), []
    rows = list(prepare(encoder, TokenCache(tmp_path), []).rows)
    (entry,) = tmp_path.glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-1])
    assert list(prepare(encoder, TokenCache(tmp_path), events).rows) == rows
    assert events[0].code == "data.cache-damaged"
    assert prepare(encoder, TokenCache(tmp_path), again := []).rows
    assert "data.cache-damaged" not in [event.code for event in again if isinstance(event, Notice)]


def test_a_cache_that_cannot_be_written_is_told_and_done_without(tiny_model_dir: Path, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    events: list[Event] = []
    split = prepare(encoder_of(tiny_model_dir), TokenCache(tmp_path / "file"), events)
    assert len(split.rows) == 1
    assert "data.cache-unwritable" in [event.code for event in events if isinstance(event, Notice)]


def test_of_too_many_entries_those_used_longest_ago_go(tmp_path: Path):
    cache = TokenCache(tmp_path)
    for number, name in enumerate("abc"):
        cache.keep(name, one_row(number), {}, silent)
        os.utime(tmp_path / f"{name}.safetensors", (number, number))
    assert cache.recall("a", silent) is not None  # and with it the youngest
    size = (tmp_path / "a.safetensors").stat().st_size
    TokenCache(tmp_path, most_bytes=2 * size).keep("d", one_row(9), {}, silent)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "d"]
