from dataclasses import replace
from pathlib import Path

import pytest
from tiny_training import chat, encoder_of

from lorasdk.contracts import Example
from lorasdk.data.prepare import check_unchanged, prepare_split
from lorasdk.data.proof import prove_masks
from lorasdk.errors import DataError
from lorasdk.events import DataPrepared, Notice
from lorasdk.recipe.schema import DataSection

SHORT, LONG = chat("hi", "yo", row=1), chat("hi", "yo " * 40, row=2)


def prepare(encoder, examples, events=None, **section):
    settings = DataSection.model_validate({"train": "rows.jsonl", **section})
    emit = (lambda _event: None) if events is None else events.append
    return prepare_split("train", examples, encoder, settings, skipped=0, emit=emit)


def test_the_announcement_counts_what_is_used(tiny_model_dir: Path):
    events = []
    split = prepare(encoder_of(tiny_model_dir), [SHORT, LONG], events)
    (event,) = events
    assert event == DataPrepared(
        split="train",
        rows=2,
        skipped=0,
        tokens=sum(len(row.ids) for row in split.rows),
        supervised_tokens=sum(row.supervised_tokens for row in split.rows),
        longest=len(split.rows[1].ids),
    )


def test_D33_long_rows_are_an_error_with_count_and_longest(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    longest = len(prepare(encoder, [LONG]).rows[0].ids)
    with pytest.raises(DataError) as caught:
        prepare(encoder, [SHORT, LONG], max_tokens=40)
    assert caught.value.code == "data.too-long"
    assert str(longest) in caught.value.problems[0].message
    assert "rows 2" in caught.value.problems[0].found


def test_D33_long_rows_are_dropped_and_said_so(tiny_model_dir: Path):
    events = []
    split = prepare(encoder_of(tiny_model_dir), [SHORT, LONG], events, max_tokens=40, too_long="drop")
    assert [row.row for row in split.rows] == [1]
    assert [example.row for example in split.examples] == [1]
    assert [event.code for event in events if isinstance(event, Notice)] == ["data.dropped-too-long"]


def test_D33_long_rows_are_cut_at_the_limit(tiny_model_dir: Path):
    split = prepare(encoder_of(tiny_model_dir), [SHORT, LONG], max_tokens=40, too_long="truncate")
    assert len(split.rows[1].ids) == 40
    assert split.rows[1].spans[-1][1] == 40


def test_D32_rows_whose_answer_is_cut_off_are_listed(tiny_model_dir: Path):
    asks_much = chat("why " * 40, "yo", row=3)
    with pytest.raises(DataError) as caught:
        prepare(encoder_of(tiny_model_dir), [SHORT, asks_much], max_tokens=40, too_long="truncate")
    assert caught.value.code == "mask.nothing-supervised"
    assert "rows 3" in caught.value.problems[0].found


def test_D36_control_tokens_in_rows_are_counted(tiny_model_dir: Path):
    events = []
    prepare(encoder_of(tiny_model_dir), [chat("a <|im_end|> <|im_start|>", "yo")], events)
    assert "2 control token(s)" in next(event.message for event in events if isinstance(event, Notice))


def test_D41_changed_rows_are_refused_with_both_hashes():
    with pytest.raises(DataError) as caught:
        check_unchanged("test", expected="aaa", actual="bbb")
    assert caught.value.code == "data.changed"
    assert ("aaa" in str(caught.value), "bbb" in str(caught.value)) == (True, True)


def test_all_rows_that_cannot_be_encoded_are_reported_together(tiny_model_dir: Path):
    with pytest.raises(DataError) as caught:
        prepare(encoder_of(tiny_model_dir), [chat("\ufdd0", "x", row=4), SHORT, chat("\ufdd0", "x", row=5)])
    assert [problem.place for problem in caught.value.problems] == ["train row 4", "train row 5"]


def tamper(encoder, change, example=SHORT):
    row = encoder.encode_example(example, train_on="all_turns", origin="train")
    prove_masks(encoder, [example], [change(row)], truncated=frozenset(), train_on="all_turns", origin="train")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda row: replace(row, spans=()), "mask.nothing-supervised"),
        (lambda row: replace(row, spans=((row.spans[0][0], row.spans[0][1] - 1),)), "mask.turn-does-not-end"),
        (lambda row: replace(row, ids=(1, *row.ids)), "mask.several-beginnings"),
        (lambda row: replace(row, ids=(5, *row.ids[1:])), "mask.prompt-differs"),
        (lambda row: replace(row, spans=((row.spans[0][0] - 1, row.spans[0][1]),)), "mask.prompt-differs"),
    ],
)
def test_a_wrong_mask_is_found(tiny_model_dir: Path, change, code: str):
    with pytest.raises(DataError) as caught:
        tamper(encoder_of(tiny_model_dir), change)
    assert code in [problem.code for problem in caught.value.problems]


def test_a_control_token_that_content_smuggled_in_is_found(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    example = chat("a <|im_end|>", "yo")
    with pytest.raises(DataError) as caught:
        tamper(encoder, lambda row: replace(row, ids=(*row.ids, 2)), example)
    assert "mask.control-token-in-content" in [problem.code for problem in caught.value.problems]


def test_plain_text_rows_are_proved_too(tiny_model_dir: Path):
    assert prepare(encoder_of(tiny_model_dir), [Example(1, text="some text")]).rows[0].supervised_tokens > 1
