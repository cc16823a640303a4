from dataclasses import replace
from pathlib import Path

import pytest
from tiny_training import chat, encoder_of

from lorasdk.contracts import Example, Message
from lorasdk.errors import DataError

REWRITES_HISTORY = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ 'thought ' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def trained_texts(encoder, row):
    return [encoder.tokenizer.decode(row.ids[start:end]) for start, end in row.spans]


def test_only_answers_and_their_end_are_trained(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    row = encoder.encode_example(chat("hi", "yo", "more", "ok"), train_on="all_turns", origin="train")
    assert trained_texts(encoder, row) == ["yo<|im_end|>", "ok<|im_end|>"]


def test_last_turn_trains_the_last_answer_only(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    row = encoder.encode_example(chat("hi", "yo", "more", "ok"), train_on="last_turn", origin="train")
    assert trained_texts(encoder, row) == ["ok<|im_end|>"]


def test_rows_spell_what_the_template_renders(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    example = chat("hé 数据", "yo", "more", "ok")
    row = encoder.encode_example(example, train_on="all_turns", origin="train")
    turns = [{"role": m.role, "content": m.content} for m in example.messages]
    assert encoder.tokenizer.decode(row.ids) == encoder.tokenizer.apply_chat_template(turns, tokenize=False)


def test_the_trained_prompt_is_the_prompt_that_infer_sends(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    example = chat("hi", "yo", "more", "ok")
    row = encoder.encode_example(example, train_on="all_turns", origin="train")
    for turn, (start, _) in zip((1, 3), row.spans, strict=True):
        assert list(row.ids[:start]) == encoder.encode_prompt(example.messages[:turn])


def test_a_template_that_rewrites_earlier_turns_is_refused_with_the_way_out(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir, template=REWRITES_HISTORY)
    with pytest.raises(DataError) as caught:
        encoder.encode_example(chat("hi", "yo", "more", "ok"), train_on="all_turns", origin="train")
    assert caught.value.code == "mask.template-rewrites"
    assert "last_turn" in caught.value.problems[0].fix


def test_last_turn_works_under_a_template_that_rewrites(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir, template=REWRITES_HISTORY)
    example = chat("hi", "yo", "more", "ok")
    row = encoder.encode_example(example, train_on="last_turn", origin="train")
    assert trained_texts(encoder, row) == ["thought ok<|im_end|>"]
    assert list(row.ids[: row.spans[0][0]]) == encoder.encode_prompt(example.messages[:3])


def test_D36_control_tokens_in_content_are_encoded_as_text(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    prompt = encoder.encode_prompt([Message("user", "a<|im_end|>b<|im_start|>c")])
    harmless = encoder.encode_prompt([Message("user", "abc")])
    for special in (1, 2):
        assert prompt.count(special) == harmless.count(special)
    assert "a<|im_end|>b<|im_start|>c" in encoder.tokenizer.decode(prompt)


def test_D44_a_template_without_generation_marks_is_masked_all_the_same(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    assert "generation %}" not in encoder.renderer.template.source
    row = encoder.encode_example(chat("hi", "yo"), train_on="all_turns", origin="train")
    assert row.supervised_tokens > 0


def test_plain_text_is_trained_from_its_second_token_to_its_end(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    row = encoder.encode_example(Example(1, text="abc"), train_on="all_turns", origin="train")
    assert row.spans == ((1, len(row.ids)),)
    assert row.ids[-1] == encoder.tokenizer.eos_token_id


def test_tools_are_refused_by_a_template_that_would_drop_them(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    example = replace(chat("hi", "yo"), tools=({"type": "function"},))
    with pytest.raises(DataError) as caught:
        encoder.encode_example(example, train_on="all_turns", origin="train")
    assert caught.value.code == "template.no-tools"


def test_tool_calls_are_rendered_by_a_template_that_knows_them(tiny_model_dir: Path):
    template = (
        "{% for m in messages %}{{ m.role + ':' + m.content }}"
        "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{{ '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}{# tools #}"
    )
    encoder = encoder_of(tiny_model_dir, template=template)
    call = {"function": {"name": "look", "arguments": {"at": "<|im_end|>"}}}
    example = Example(1, (Message("user", "go"), Message("assistant", "", tool_calls=(call,))))
    row = encoder.encode_example(example, train_on="all_turns", origin="train")
    assert '"name": "look"' in trained_texts(encoder, row)[0]
    assert row.ids.count(2) == 2


def test_a_template_without_end_of_turn_is_refused(tiny_model_dir: Path):
    with pytest.raises(DataError) as caught:
        encoder_of(tiny_model_dir, template="{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
    assert caught.value.code == "template.no-end-of-turn"


def test_a_conversation_the_template_refuses_names_its_row(tiny_model_dir: Path):
    template = (
        "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('no bad words') }}{% endif %}"
        "{{ m.content + '<|im_end|>' }}{% endfor %}"
    )
    encoder = encoder_of(tiny_model_dir, template=template)
    with pytest.raises(DataError) as caught:
        encoder.encode_example(chat("bad", "yo", row=7), train_on="all_turns", origin="train")
    assert "row 7" in str(caught.value)
    assert "no bad words" in str(caught.value)
