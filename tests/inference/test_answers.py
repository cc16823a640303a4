from pathlib import Path

import pytest
from tiny_training import encoder_of

from lorasdk.inference.answers import Answer
from lorasdk.inference.decoding import Request
from lorasdk.inference.text import Transcript
from lorasdk.recipe.schema import GenerationSection

STOP_ID = 2


@pytest.fixture
def answer_to(tiny_model_dir: Path):
    tokenizer = encoder_of(tiny_model_dir).tokenizer

    def answer_to(text: str, *, stop=(), limit: int = 9) -> Answer:
        answer = Answer(
            Request((1, 5), 0, limit, GenerationSection()), Transcript(tokenizer, stop), frozenset({STOP_ID})
        )
        for token in [*tokenizer(text, add_special_tokens=False).input_ids, STOP_ID]:
            if not answer.finished:
                answer.add(token)
        return answer

    return answer_to


@pytest.mark.parametrize(
    ("settings", "text", "tokens", "reason"),
    [({}, "xyz", 4, "stop"), ({"stop": ["y"]}, "x", 2, "stop"), ({"limit": 2}, "xy", 2, "length")],
)
def test_an_answer_ends_by_token_text_or_length(answer_to, settings, text: str, tokens: int, reason: str):
    completion = answer_to("xyz", **settings).completion()
    assert (completion.text, completion.completion_tokens, completion.finish_reason) == (text, tokens, reason)
    assert completion.prompt_tokens == 2
