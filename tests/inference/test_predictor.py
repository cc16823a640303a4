import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from tiny_training import encoder_of, load_tiny

from lorasdk.contracts import Message
from lorasdk.errors import InferenceError
from lorasdk.events import PredictionProgress
from lorasdk.inference.predictor import Predictor
from lorasdk.recipe.schema import GenerationSection
from lorasdk.stopping import StopToken

PROMPTS = ["hi", "what is the capital of France?", "say something long and then longer", "x", "and you?"]


def turns(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path):
    return load_tiny(tiny_model_dir).model


@pytest.fixture
def make(model, tiny_model_dir: Path):
    def build(events=None, token=None, **settings):
        return Predictor(
            model=model,
            encoder=encoder_of(tiny_model_dir),
            settings=GenerationSection.model_validate({"max_new_tokens": 8, **settings}),
            lock=threading.Lock(),
            emit=(lambda _event: None) if events is None else events.append,
            stop=token or StopToken(),
        )

    return build


def test_greedy_answers_are_those_of_transformers(make, model):
    predictor = make()
    for text in PROMPTS:
        ids = torch.tensor([predictor.encoder.encode_prompt(turns(text))])
        produced = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=2, pad_token_id=0
        )[0, ids.shape[1] :]
        (answer,) = predictor.complete([turns(text)])
        assert answer.text == predictor.encoder.tokenizer.decode(produced, skip_special_tokens=True)
        assert (answer.prompt_tokens, answer.completion_tokens) == (ids.shape[1], len(produced))


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.2}])
def test_answers_do_not_depend_on_their_neighbours(make, settings):
    together = make(batch_size=3, **settings).complete([turns(text) for text in PROMPTS])
    alone = make(batch_size=1, **settings).complete([turns(text) for text in PROMPTS])
    assert [answer.text for answer in together] == [answer.text for answer in alone]


def test_no_prompts_have_no_answers(make):
    assert make().complete([]) == []


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "repetition_penalty": 1.2}])
def test_prompts_with_a_long_common_beginning_are_answered_as_alone(make, settings):
    prompts = [turns("Answer with one word. " * 9 + text) for text in PROMPTS]
    alone = [make(**{**settings, "seed": i}).complete([prompt])[0] for i, prompt in enumerate(prompts)]
    assert make(batch_size=3, **settings).complete(prompts) == alone


def test_sampling_is_seeded_and_leaves_the_global_state_alone(make):
    before = torch.get_rng_state()
    first, again, other = (make(temperature=2.0, seed=seed).complete([turns("hi")])[0].text for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(before, torch.get_rng_state())


def test_length_ends_an_answer(make):
    (answer,) = make(max_new_tokens=3).complete([turns("hi")])
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 3)


def test_the_end_of_turn_ends_an_answer(make, model, monkeypatch):
    predictor = make()
    monkeypatch.setattr(type(predictor.encoder), "stop_ids", property(lambda _self: frozenset(range(320))))
    (answer,) = predictor.complete([turns("hi")])
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ("", "stop", 1)


def test_stop_texts_end_an_answer_and_are_cut_off(make):
    full = make().complete([turns("hi")])[0].text
    stop = full[3:5]
    (answer,) = make(stop=[stop]).complete([turns("hi")])
    assert (answer.text, answer.finish_reason) == (full[: full.find(stop)], "stop")


def test_the_stream_is_the_answer_in_pieces(make):
    for settings in ({}, {"stop": [make().complete([turns("hi")])[0].text[3:5]]}):
        predictor = make(**settings)
        pieces = list(predictor.stream(turns("hi")))
        assert "".join(pieces) == predictor.complete([turns("hi")])[0].text
        assert len(pieces) > 1 or settings


def test_I99_a_stream_closed_early_frees_the_model_and_leaves_no_thread(make):
    threads = threading.active_count()
    predictor = make(max_new_tokens=100)
    stream = predictor.stream(turns("hi"))
    next(stream)
    assert not predictor.lock.locked()
    assert predictor.complete([turns("hi")])[0].completion_tokens
    stream.close()
    gc.collect()
    assert threading.active_count() == threads


def test_I97_eight_threads_give_the_serial_answers(make):
    predictor = make()
    serial = [predictor.complete([turns(text)])[0] for text in PROMPTS * 4]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda text: predictor.complete([turns(text)])[0], PROMPTS * 4))
    assert parallel == serial


def test_I95_a_prompt_longer_than_the_context_is_refused_with_counts(make):
    with pytest.raises(InferenceError) as caught:
        make().complete([turns("x" * 600)])
    assert caught.value.code == "inference.prompt-too-long"
    assert "512" in str(caught.value)


def test_an_answer_ends_at_the_context(make):
    predictor = make(max_new_tokens=400)
    prompt = turns("x" * 480)
    room = 512 - len(predictor.encoder.encode_prompt(prompt))
    assert predictor.complete([prompt])[0].completion_tokens <= room


def test_progress_is_announced_per_batch(make):
    events = []
    make(events, batch_size=2).complete([turns(text) for text in PROMPTS])
    assert [event.done for event in events if isinstance(event, PredictionProgress)] == [2, 4, 5]


def test_a_thrown_token_ends_the_work(make):
    token = StopToken()
    token.stop()
    with pytest.raises(InferenceError) as caught:
        make(token=token).complete([turns("hi")])
    assert caught.value.code == "inference.stopped"
