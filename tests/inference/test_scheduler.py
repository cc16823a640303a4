import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from tiny_training import encoder_of, load_tiny

from lorasdk.asking import Ask, Piece, Update
from lorasdk.contracts import Message
from lorasdk.errors import InferenceError, LorasdkError
from lorasdk.inference.decoding import Batch
from lorasdk.inference.fair_lock import FairLock
from lorasdk.inference.predictor import Predictor
from lorasdk.inference.reading import Reader
from lorasdk.inference.scheduler import ContinuousScheduler, Subject
from lorasdk.recipe.schema import GenerationSection
from lorasdk.refusals import generation_settings
from lorasdk.results import Completion

SETTINGS = GenerationSection(max_new_tokens=12)
TEXTS = ["hi", "what is the capital of France?", "say something long and then longer", "x", "and you?"]


class Hearer:
    """Collects the updates of one request."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.over = threading.Event()

    def __call__(self, update: Update) -> None:
        self.updates.append(update)
        if not isinstance(update, Piece):
            self.over.set()

    def last(self) -> Completion | LorasdkError:
        assert self.over.wait(30)
        assert not any(isinstance(update, Completion | LorasdkError) for update in self.updates[:-1])
        last = self.updates[-1]
        assert not isinstance(last, Piece)
        return last

    @property
    def pieces(self) -> list[Piece]:
        return [update for update in self.updates if isinstance(update, Piece)]


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path):
    return load_tiny(tiny_model_dir).model


@pytest.fixture
def build(model, tiny_model_dir: Path) -> Iterator[Callable[..., ContinuousScheduler]]:
    built: list[ContinuousScheduler] = []

    def build(*, lock: AbstractContextManager[object] | None = None, max_rows: int = 4, max_waiting: int = 100):
        subject = Subject(
            model,
            encoder_of(tiny_model_dir),
            lock or FairLock(),
            lambda ask: generation_settings(SETTINGS, ask.generation),
            lambda choice: choice is True,
        )
        built.append(ContinuousScheduler(subject, max_rows=max_rows, max_waiting=max_waiting))
        return built[-1]

    yield build
    for scheduler in built:
        scheduler.close()


def turns(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def asked(scheduler: ContinuousScheduler, ask: Ask) -> Hearer:
    hearer = Hearer()
    scheduler.submit(ask, hearer)
    return hearer


@pytest.fixture
def alone(model, tiny_model_dir: Path):
    def answer(text: str, **changes: object) -> Completion:
        settings = generation_settings(SETTINGS, changes)
        return Predictor(model, encoder_of(tiny_model_dir), settings, FairLock()).complete([turns(text)])[0]

    return answer


def test_many_requests_get_the_answers_they_would_get_alone(build, alone):
    scheduler = build()
    changes = [{"max_new_tokens": 1 + i % 7, "seed": i, "temperature": float(i % 2)} for i in range(20)]
    hearers = [asked(scheduler, Ask(turns(TEXTS[i % 5]), generation=one)) for i, one in enumerate(changes)]
    for i, hearer in enumerate(hearers):
        expected = alone(TEXTS[i % 5], **changes[i])
        assert hearer.last() == expected
        assert "".join(piece.text for piece in hearer.pieces) == expected.text
    load = scheduler.load
    assert (load.finished, load.running, load.waiting, load.failed, load.cancelled) == (20, 0, 0, 0, 0)
    assert load.completion_tokens == sum(hearer.last().completion_tokens for hearer in hearers)
    assert load.prompt_tokens == sum(hearer.last().prompt_tokens for hearer in hearers)


def test_rows_join_those_that_run_and_no_more_than_are_allowed(build, monkeypatch):
    rows, step = [], Batch.step
    monkeypatch.setattr(Batch, "step", lambda self: (rows.append(len(self.voices)), step(self))[1])
    scheduler = build(max_rows=3)
    for hearer in [asked(scheduler, Ask(turns(text))) for text in TEXTS]:
        hearer.last()
    assert max(rows) == 3


def test_a_model_whose_memory_cannot_be_moved_answers_those_that_came_together(build, alone, monkeypatch):
    monkeypatch.setattr(Batch, "can_join", lambda _self, _other: False)
    scheduler = build(max_rows=8)
    hearers = [asked(scheduler, Ask(turns(text))) for text in TEXTS]
    assert [hearer.last() for hearer in hearers] == [alone(text) for text in TEXTS]


def test_a_stop_text_ends_an_answer_and_is_not_told(build, alone):
    full = alone("hi").text
    stop = full[3:5]
    hearer = asked(build(), Ask(turns("hi"), generation={"stop": [stop]}))
    assert hearer.last() == alone("hi", stop=[stop])
    assert "".join(piece.text for piece in hearer.pieces) == full[: full.find(stop)]


def test_a_text_is_gone_on_with_as_it_stands(build, model, tiny_model_dir: Path):
    encoder, text = encoder_of(tiny_model_dir), "<|im_start|>user\nhi"
    hearer = asked(build(), Ask(text, generation={"max_new_tokens": 3}))
    ids = torch.tensor([encoder.tokenizer(text).input_ids])
    produced = model.generate(ids, max_new_tokens=3, do_sample=False, eos_token_id=2, pad_token_id=0)[0, ids.shape[1] :]
    last = hearer.last()
    assert last.text == encoder.tokenizer.decode(produced, skip_special_tokens=True)
    assert last.prompt_tokens == ids.shape[1]


def test_log_probabilities_are_those_of_the_model(build, model, tiny_model_dir: Path):
    hearer = asked(build(), Ask(turns("hi"), generation={"max_new_tokens": 3}, logprobs=2))
    hearer.last()
    chosen = [token for piece in hearer.pieces for token in piece.tokens]
    ids = encoder_of(tiny_model_dir).encode_prompt(turns("hi"))
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1).topk(2).values.tolist()
    assert [one.log_probability for one in chosen[0].likeliest] == pytest.approx(expected, abs=1e-4)
    assert chosen[0].token == chosen[0].likeliest[0]
    assert b"".join(token.token.raw for token in chosen).decode(errors="replace") == hearer.last().text


def test_a_cancelled_request_ends_and_frees_its_row(build):
    lock = threading.Lock()
    scheduler, hearer = build(lock=lock, max_rows=1), Hearer()
    with lock:
        ticket = scheduler.submit(Ask(turns("hi"), generation={"max_new_tokens": 400}), hearer)
        waiting = Hearer()
        second = scheduler.submit(Ask(turns("hi")), waiting)
        third = asked(scheduler, Ask(turns("x")))
        ticket.cancel()
        second.cancel()
    assert hearer.last().code == waiting.last().code == "inference.stopped"
    assert isinstance(third.last(), Completion)
    assert scheduler.load.cancelled == 2


def test_a_full_queue_refuses(build):
    lock = threading.Lock()
    scheduler = build(lock=lock, max_rows=1, max_waiting=2)
    with lock:
        hearers = [asked(scheduler, Ask(turns("hi")))]
        while scheduler.load.waiting:
            pass
        hearers += [asked(scheduler, Ask(turns("hi"))) for _ in range(2)]
        with pytest.raises(InferenceError) as caught:
            asked(scheduler, Ask(turns("hi")))
    assert caught.value.code == "inference.queue-full"
    assert all(isinstance(hearer.last(), Completion) for hearer in hearers)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (Ask(()), "inference.empty-prompt"),
        (Ask(" "), "inference.empty-prompt"),
        (Ask(turns("x" * 600)), "inference.prompt-too-long"),
        (Ask(turns("x"), generation={"temprature": 1}), "recipe.unknown-key"),
    ],
)
def test_what_cannot_be_answered_is_refused_at_once(build, ask: Ask, code: str):
    with pytest.raises(InferenceError) as caught:
        asked(build(), ask)
    assert caught.value.code == code


def test_closing_finishes_what_runs_for_a_while(build, alone):
    scheduler = build()
    hearers = [asked(scheduler, Ask(turns(text))) for text in TEXTS]
    scheduler.close(drain_seconds=60)
    assert [hearer.last() for hearer in hearers] == [alone(text) for text in TEXTS]
    assert not scheduler.open
    with pytest.raises(InferenceError) as caught:
        asked(scheduler, Ask(turns("hi")))
    assert caught.value.code == "inference.closed"


def test_closing_at_once_tells_everybody_and_ends_the_thread(build):
    lock, threads = threading.Lock(), threading.active_count()
    scheduler = build(lock=lock, max_rows=1)
    with lock:
        hearers = [asked(scheduler, Ask(turns("hi"), generation={"max_new_tokens": 400})) for _ in range(3)]
        closing = threading.Thread(target=scheduler.close)
        closing.start()
        while scheduler.open:
            pass
    closing.join()
    assert {hearer.last().code for hearer in hearers} == {"inference.stopped"}
    assert threading.active_count() == threads


def test_what_the_model_cannot_compute_is_told_to_whom_it_concerns(build, alone, monkeypatch):
    scheduler, read = build(), Reader.read

    def failing(self: Reader, ids: torch.Tensor, **rest: object) -> object:
        if ids.shape[1] > 30:
            raise MemoryError("no room")
        return read(self, ids, **rest)

    monkeypatch.setattr(Reader, "read", failing)
    good = asked(scheduler, Ask(turns("hi")))
    assert isinstance(good.last(), Completion)
    bad = asked(scheduler, Ask(turns("x" * 100)))
    error = bad.last()
    assert error.code == "inference.failed"
    assert isinstance(error.__cause__, MemoryError)
    assert asked(scheduler, Ask(turns("x"))).last() == alone("x")
    assert (scheduler.load.failed, scheduler.load.finished) == (1, 2)


def test_who_cannot_hear_is_dropped_and_the_others_go_on(build, alone, caplog):
    scheduler = build()

    def deaf(_update: Update) -> None:
        raise ValueError("deaf")

    scheduler.submit(Ask(turns("hi")), deaf)
    assert asked(scheduler, Ask(turns("x"))).last() == alone("x")
    assert "the request is dropped" in caplog.text


def test_other_callers_of_the_model_come_in_between(build, model, tiny_model_dir: Path, alone):
    lock = FairLock()
    scheduler = build(lock=lock)
    hearers = [asked(scheduler, Ask(turns("hi"), generation={"max_new_tokens": 200})) for _ in range(4)]
    predictor = Predictor(model, encoder_of(tiny_model_dir), SETTINGS, lock)
    assert predictor.complete([turns("x")])[0] == alone("x")
    assert all(isinstance(hearer.last(), Completion) for hearer in hearers)


def test_the_model_is_let_go_of_with_the_thread(tiny_model_dir: Path):
    model, encoder = load_tiny(tiny_model_dir).model, encoder_of(tiny_model_dir)
    there = weakref.ref(model)
    subject = Subject(model, encoder, FairLock(), lambda _ask: SETTINGS, lambda choice: choice is True)
    scheduler = ContinuousScheduler(subject, max_rows=2, max_waiting=2)
    assert isinstance(asked(scheduler, Ask(turns("hi"))).last(), Completion)
    scheduler.close()
    del model, subject
    gc.collect()
    assert there() is None
    assert scheduler.load.finished == 1
