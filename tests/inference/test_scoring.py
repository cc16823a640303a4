"""Scores of answers are proved against log_softmax of each model's own logits, row by row."""

from __future__ import annotations

import copy
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import write_tiny_model
from tiny_shapes import SHAPES, build, some_rows
from tiny_training import chat, encoder_of, load_tiny, token_rows

from lorasdk.basemodel.quiet import quiet
from lorasdk.contracts import Message
from lorasdk.data.encoding import TokenRow
from lorasdk.engine.lora import attach_lora
from lorasdk.errors import InferenceError
from lorasdk.events import Notice, PredictionProgress
from lorasdk.forward import choosing
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.inference import scoring as scoring_module
from lorasdk.inference.predictor import Predictor
from lorasdk.inference.scoring import Scoring
from lorasdk.recipe.schema import GenerationSection, LoraSection
from lorasdk.results import AnswerScore
from lorasdk.stopping import StopToken

INSTRUCTION = "Answer with one word, and nothing else. " * 3
PAIRS = [
    (INSTRUCTION + "Is it?", "yes"),
    (INSTRUCTION + "Is it?", "no"),
    (INSTRUCTION + "And this, which is asked at greater length?", "no"),
    ("hi", "a longer answer than the others"),
    (INSTRUCTION + "And this, which is asked at greater length?", "yes"),
    (INSTRUCTION + "Is it?", "yes"),
    ("hi", ""),
]


@torch.no_grad()
def plain_score(model, row: TokenRow) -> float:
    chances = model(input_ids=torch.tensor([row.ids])).logits[0].float().log_softmax(-1)
    return sum(chances[i - 1, row.ids[i]].item() for start, end in row.spans for i in range(start, end))


def adapt(base):
    section = LoraSection.model_validate({"rank": 4, "targets": "all-linear"})
    with quiet():
        model = attach_lora(base, section, seed=0, batches=[]).eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model


@pytest.fixture
def only_padded(monkeypatch):
    monkeypatch.setattr(choosing, "_known_obstacle", lambda _model: "it is told so")


@pytest.fixture(scope="module")
def adapted(tiny_model_dir: Path):
    return adapt(load_tiny(tiny_model_dir).model)


@pytest.fixture
def predictor(adapted, tiny_model_dir: Path):
    def make(model=adapted, *, adapter: bool = True, events=None, stop=None, lock=None):
        return Predictor(
            model=model,
            encoder=encoder_of(tiny_model_dir),
            settings=GenerationSection(),
            lock=lock or threading.Lock(),
            adapter=adapter,
            label="tuned",
            emit=(lambda _event: None) if events is None else events.append,
            stop=stop or StopToken(),
        )

    return make


def scored(predictor, pairs=PAIRS) -> list[AnswerScore]:
    prompts = [(Message("user", prompt),) for prompt, _ in pairs]
    return predictor.log_probabilities(prompts, [answer for _, answer in pairs])


def expected(predictor, model, pairs=PAIRS) -> list[AnswerScore]:
    """By transformers' own rendering and forward, one pair after another."""
    tokenizer = predictor.encoder.tokenizer
    found = []
    for prompt, answer in pairs:
        chat = [{"role": "user", "content": prompt}]
        given = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        produced = [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        row = TokenRow(1, (*given, *produced), ((len(given), len(given) + len(produced)),))
        found.append(AnswerScore(plain_score(model, row), len(produced)))
    return found


def assert_same(ours: list[AnswerScore], reference: list[AnswerScore]):
    assert [score.tokens for score in ours] == [score.tokens for score in reference]
    assert [s.log_probability for s in ours] == pytest.approx([s.log_probability for s in reference], rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("adapter", [True, False])
@pytest.mark.parametrize("kind", [PackedPasses, PaddedPasses])
def test_scores_are_those_of_the_models_own_logits(shape: str, adapter: bool, kind: type, request):
    if kind is PaddedPasses:
        request.getfixturevalue("only_padded")
    model = build(shape).eval()
    rows = some_rows(16, shared=40, nested=40)
    tuned = [plain_score(model, row) for row in rows]
    with model.disable_adapter():
        base = [plain_score(model, row) for row in rows]
    scoring = Scoring.of(model, adapter=adapter)
    assert isinstance(scoring.passes, kind)
    found = {}
    for part in scoring.parts(rows):
        found |= scoring.scores(part)
    ours = [found[row.row].log_probability for row in rows]
    assert ours == pytest.approx(tuned if adapter else base, rel=1e-5)
    assert ours != pytest.approx(base if adapter else tuned, rel=1e-2)


@pytest.mark.parametrize("way", ["packed", "padded"])
def test_greedy_is_the_answer_that_the_model_itself_gives(way: str, predictor, request):
    if way == "padded":
        request.getfixturevalue("only_padded")
    ours = predictor(adapter=True)
    prompts = [(Message("user", prompt),) for prompt, _ in PAIRS]
    length = 3
    with torch.no_grad():
        given = [ours.encoder.encode_prompt(prompt) for prompt in prompts]
        rows = [_continued(ours.model, ids, length) for ids in given]
    scoring = Scoring.of(ours.model, adapter=True)
    assert isinstance(scoring.passes, PaddedPasses if way == "padded" else PackedPasses)
    likeliest = [TokenRow(i, tuple(row), ((len(row) - length, len(row)),)) for i, row in enumerate(rows)]
    # One other token in the middle, and nothing else, makes an answer that the model would not give.
    other = [replace(row, row=100 + row.row, ids=_changed(row.ids, at=-2)) for row in likeliest]
    found = {}
    for part in scoring.parts([*likeliest, *other]):
        found |= scoring.scores(part)
    assert [found[row.row].greedy for row in likeliest] == [True] * len(likeliest)
    assert [found[row.row].greedy for row in other] == [False] * len(other)


def _continued(model, ids: list[int], tokens: int) -> list[int]:
    for _ in range(tokens):
        ids = [*ids, int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
    return ids


def _changed(ids: tuple[int, ...], *, at: int) -> tuple[int, ...]:
    return (*ids[:at], 7 if ids[at] != 7 else 8, *ids[at + 1 :])


@pytest.mark.parametrize("way", ["packed", "padded"])
def test_base_and_tuned_of_one_model_take_turns(way: str, predictor, adapted, tiny_model_dir: Path, request):
    if way == "padded":
        request.getfixturevalue("only_padded")
    base, tuned = predictor(adapter=False), predictor(adapter=True)
    of_base = expected(base, load_tiny(tiny_model_dir).model)
    of_tuned = expected(tuned, copy.deepcopy(adapted))
    for _ in range(2):
        assert_same(scored(base), of_base)
        assert_same(scored(tuned), of_tuned)


@pytest.mark.parametrize("way", ["packed", "padded"])
def test_a_model_that_never_had_an_adapter_is_scored(way: str, predictor, tiny_model_dir: Path, request):
    if way == "padded":
        request.getfixturevalue("only_padded")
    model = load_tiny(tiny_model_dir).model
    ours = predictor(model, adapter=False)
    assert_same(scored(ours), expected(ours, model))


def test_the_order_of_pairs_is_the_order_of_scores_in_any_number_of_passes(predictor, monkeypatch):
    monkeypatch.setattr(scoring_module, "PASS_TOKENS", 60)
    monkeypatch.setattr(scoring_module, "ROWS_AT_ONCE", 3)
    events: list[object] = []
    whole = scored(predictor())
    assert_same(scored(predictor(events=events)), whole)
    assert_same(scored(predictor(), PAIRS[::-1]), whole[::-1])
    done = [event.done for event in events if isinstance(event, PredictionProgress)]
    assert len(done) > 2
    assert done[-1] == len(PAIRS)


def test_no_pairs_have_no_scores(predictor):
    assert predictor().log_probabilities([], []) == []


def test_the_trained_row_is_the_scored_row_up_to_the_end_of_the_turn(tiny_model_dir: Path):
    encoder = encoder_of(tiny_model_dir)
    (trained,) = token_rows(encoder, [chat("hi", "yes")])
    (row,) = scoring_module.answer_rows(encoder, [(Message("user", "hi"),)], ["yes"], context=None)
    assert row.spans == trained.spans
    assert row.ids == trained.ids[: trained.spans[0][1]]


def test_what_prompts_share_is_computed_once(predictor):
    ours = predictor()
    prompt = (Message("user", INSTRUCTION + "Which?"),)
    rows = scoring_module.answer_rows(ours.encoder, [prompt] * 20, [f"label {i}" for i in range(20)], context=None)
    scoring = Scoring.of(ours.model, adapter=True)
    (part,) = scoring.parts(rows)
    computed = scoring.passes.inputs(part).input_ids.shape[1]
    assert computed < len(rows[0].ids) + sum(row.supervised_tokens for row in rows) + 20


@pytest.mark.parametrize("adapter", [True, False])
def test_base_and_tuned_have_the_same_fast_forwards(adapted, adapter: bool):
    passes = Scoring.of(adapted, adapter=adapter).passes
    assert isinstance(passes, PackedPasses)
    layers = len(adapted.get_base_model().get_decoder().layers)
    assert len(passes.fused) == 4 * layers + 1
    assert passes.plain_head


@pytest.mark.parametrize("adapter", [True, False])
def test_answers_of_a_quantised_base_are_scored_as_peft_computes(adapter: bool, tmp_path: Path):
    base = load_tiny(write_tiny_model(tmp_path, hidden=64), quantization="nf4").model
    model, rows = adapt(base), some_rows(8, shared=40, nested=0)
    reference = {}
    for state in (True, False):
        with nullcontext() if state else model.disable_adapter():
            reference[state] = [plain_score(model, row) for row in rows]
    scoring = Scoring.of(model, adapter=adapter)
    assert isinstance(scoring.passes, PackedPasses)
    (part,) = scoring.parts(rows)
    found = scoring.scores(part)
    ours = [found[row.row].log_probability for row in rows]
    assert ours == pytest.approx(reference[adapter], rel=1e-4)
    assert ours != pytest.approx(reference[not adapter], rel=1e-2)


def test_the_model_is_left_as_it_was(predictor, adapted):
    def facts():
        return (
            [(name, p.requires_grad) for name, p in adapted.named_parameters()],
            [name for name, module in adapted.named_modules() if "forward" in vars(module) or module.training],
            adapted.get_model_status().enabled,
            adapted.config._attn_implementation,
        )

    adapted.requires_grad_(requires_grad=False)
    before = facts()
    scored(predictor(adapter=False))
    scored(predictor(adapter=True))
    assert facts() == before


def test_passes_are_tried_once_for_each_predictor(predictor, monkeypatch):
    tried = []
    real = scoring_module.choose_passes
    monkeypatch.setattr(scoring_module, "choose_passes", lambda *a, **k: tried.append(1) or real(*a, **k))
    ours = predictor()
    assert scored(ours) == scored(ours)
    assert len(tried) == 1


def test_the_lock_is_held_for_each_pass_and_free_between_them(predictor, monkeypatch):
    monkeypatch.setattr(scoring_module, "PASS_TOKENS", 60)
    lock = threading.Lock()
    held, free = [], []
    real = Scoring.scores
    monkeypatch.setattr(Scoring, "scores", lambda self, rows: held.append(lock.locked()) or real(self, rows))
    ours = predictor(lock=lock)
    object.__setattr__(ours, "emit", lambda _event: free.append(not lock.locked()))
    scored(ours)
    assert len(held) == len(free) > 2
    assert all(held)
    assert all(free)


def test_a_token_thrown_between_passes_ends_the_work(predictor, monkeypatch):
    monkeypatch.setattr(scoring_module, "PASS_TOKENS", 60)
    stop, events = StopToken(), []
    ours = predictor(stop=stop)
    object.__setattr__(ours, "emit", lambda event: events.append(event) or stop.stop())
    with pytest.raises(InferenceError) as caught:
        scored(ours)
    assert caught.value.code == "inference.stopped"
    assert len(events) == 1


@pytest.mark.usefixtures("only_padded")
def test_padded_rows_are_announced_once(predictor):
    events: list[object] = []
    ours = predictor(events=events)
    scored(ours)
    scored(ours)
    assert [e.code for e in events if isinstance(e, Notice)] == ["inference.padded"]
    assert "it is told so" in next(e.message for e in events if isinstance(e, Notice))


def test_I95_all_pairs_that_exceed_the_context_are_named(predictor):
    with pytest.raises(InferenceError) as caught:
        scored(predictor(), [("x" * 600, "yes"), ("hi", "no"), ("hi", "y" * 600)])
    assert [problem.place for problem in caught.value.problems] == ["prompt 1", "prompt 3"]
    assert {problem.code for problem in caught.value.problems} == {"inference.prompt-too-long"}


def test_a_pair_that_just_fits_the_context_is_scored(predictor):
    ours = predictor()
    room = 512 - len(ours.encoder.encode_prompt([Message("user", "hi")]))
    (score,) = scored(ours, [("hi", "\x01" * (room - 1))])
    assert score.tokens == room
