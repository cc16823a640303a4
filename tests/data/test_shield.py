from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import encoder_of

from lorasdk.contracts import Message
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
