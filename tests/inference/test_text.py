from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_training import encoder_of
from tokenizers import Tokenizer, decoders, models

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


class Decoder:
    """Stands for a tokenizer: decodes SentencePiece-like pieces as Llama's does, and counts."""

    def __init__(self):
        pieces = {"<unk>": 0, "▁a": 1, "b": 2, "▁é": 3, "▁": 4, **{f"<0x{byte:02X}>": 5 + byte for byte in range(256)}}
        self.tokenizer = Tokenizer(models.BPE(pieces, [], unk_token="<unk>", byte_fallback=True))
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        self.tokenizer.decoder = decoders.Sequence(steps)
        self.decoded = 0

    def decode(self, ids, *, skip_special_tokens: bool) -> str:
        self.decoded += len(ids)
        return self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)


LETTERS = {text: [5 + byte for byte in text.encode()] for text in ("é", "数", "🙂")}
PIECES = st.lists(st.sampled_from([[1], [2], [3], [4], *LETTERS.values()]), max_size=12)


@given(PIECES)
def test_a_decoder_that_strips_the_first_space_and_spells_bytes_gives_the_same_text_in_pieces(pieces):
    decoder, ids = Decoder(), [token for piece in pieces for token in piece]
    transcript, told = Transcript(decoder, []), ""
    for token in ids:
        transcript.add(token)
        told += transcript.news(final=False)
    assert told + transcript.news(final=True) == transcript.text == decoder.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("stop", [[], ["zzz"]])
def test_the_work_of_a_token_does_not_grow_with_the_answer(stop):
    decoder = Decoder()
    transcript = Transcript(decoder, stop)
    for _ in range(100):
        transcript.add(1)
        transcript.news(final=False)
    assert decoder.decoded <= 300


def test_nothing_is_decoded_before_somebody_asks():
    decoder = Decoder()
    transcript = Transcript(decoder, [])
    for _ in range(100):
        transcript.add(1)
    assert decoder.decoded == 0
    assert transcript.text == " ".join("a" * 100)
    assert decoder.decoded == 100


def test_a_stop_sequence_may_begin_in_an_earlier_piece():
    transcript = Transcript(Decoder(), ["a b", "bb"])
    for token in (2, 1, 4, 2):
        transcript.add(token)
    assert (transcript.text, transcript.ended) == ("b ", True)
