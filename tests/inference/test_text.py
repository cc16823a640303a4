from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import encoder_of

from lorasdk.inference.text import Transcript

TEXTS = st.text(st.sampled_from("abc é数🙂\n"), max_size=20)


@given(text=TEXTS, stop=st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=3), max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_pieces_add_up_to_the_text_before_the_first_stop(tiny_model_dir: Path, text: str, stop: list[str]):
    tokenizer = encoder_of(tiny_model_dir).tokenizer
    transcript, told, ids = Transcript(tokenizer, stop), "", []
    for token in tokenizer(text).input_ids:
        ids.append(token)
        transcript.add(token)
        piece = transcript.news(final=False)
        assert "�" not in piece
        told += piece
        if transcript.ended:
            break
    told += transcript.news(final=True)
    # The first stop text to be complete ends the answer, even if a longer one began before it.
    so_far = tokenizer.decode(ids)
    ends = [at for at in (so_far.find(word) for word in stop) if at >= 0]
    assert told == (so_far[: min(ends)] if ends else text)
