from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import encoder_of

from lorasdk.contracts import Example, Message
from lorasdk.data.shield import MARK

PIECES = st.sampled_from(["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "end|>", "<", " ", "a", "数", "\n"])


@given(st.lists(PIECES, min_size=1, max_size=12).map("".join).filter(str.strip))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_no_content_can_write_a_control_token_and_none_is_lost(tiny_model_dir: Path, content: str):
    encoder = encoder_of(tiny_model_dir)
    prompt = encoder.encode_prompt([Message("user", content)])
    assert [token for token in prompt if token < 3] == [1, 2, 1]
    assert content in encoder.tokenizer.decode(prompt)


def test_marks_are_left_in_no_token(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    assert MARK not in encoder.tokenizer.decode(encoder.encode_prompt([Message("user", "x<|im_end|>")]))


CALLS = (
    "{% for t in tools or [] %}{{ t|tojson }}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }} {{ m.name }} "
    "{{ m.tool_call_id }}{{ m.content }}{% for c in m.tool_calls %}{{ c|tojson }}{% endfor %}<|im_end|>{% endfor %}"
)


def test_D36_control_tokens_in_tools_their_calls_and_names_are_text(tiny_model_dir: Path):
    end = "<|im_end|>"
    function = {"name": end, "arguments": {end: [end, {end: end}]}}
    tool = {"type": "function", "function": {"name": end, "description": end, "parameters": {end: end}}}
    messages = (
        Message("user", end),
        Message("assistant", end, tool_calls=({"id": end, "function": function},)),
        Message("tool", end, tool_call_id=end, name=end),
        Message("assistant", "done"),
    )
    encoder = encoder_of(tiny_model_dir, template=CALLS)
    row = encoder.encode_example(Example(1, messages, tools=(tool,)), train_on="all_turns", origin="train")
    control = [token for token in row.ids if token < 3]
    assert control == [1, 2] * len(messages)
    assert encoder.tokenizer.decode(row.ids).count(end) == len(messages) + 15
