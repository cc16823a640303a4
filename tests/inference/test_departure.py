"""What is forgotten is proved against transformers and PEFT: full logits, with `disable_adapter` and without."""

from __future__ import annotations

import copy
import math
import threading
from pathlib import Path

import pytest
import torch
from tiny_model import write_tiny_model
from tiny_shapes import SHAPES, build, some_rows
from tiny_training import encoder_of, load_tiny

from lorasdk.basemodel.quiet import quiet
from lorasdk.engine.lora import attach_lora
from lorasdk.errors import DataError, InferenceError
from lorasdk.events import PredictionProgress
from lorasdk.forward import choosing
from lorasdk.forward.divergence import departure
from lorasdk.forward.packed import PackedPasses
from lorasdk.forward.padded import PaddedPasses
from lorasdk.inference import departure as module
from lorasdk.inference.departure import measure_departure
from lorasdk.inference.predictor import Predictor
from lorasdk.inference.scoring import Scoring
from lorasdk.recipe.schema import GenerationSection, LoraSection
from lorasdk.stopping import StopToken

TEXTS = ("hi", "Name three colours of the rainbow.", "为什么天是蓝的？", "hi there", "And what is a ferry, by the way?")
WAYS = {"packed": PackedPasses, "padded": PaddedPasses}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> type:
    if request.param == "padded":
        monkeypatch.setattr(choosing, "_known_obstacle", lambda _model: "it is told so")
    return WAYS[request.param]


@torch.no_grad()
def chances_of(model, row) -> torch.Tensor:
    """(answer tokens, vocabulary) float64 log-probabilities by the model's own forward."""
    logits = model(input_ids=torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
    return torch.cat([logits[start - 1 : end - 1] for start, end in row.spans])


def plain(base, tuned, rows) -> list[float]:
    """Mean divergence, and the perplexity under base and tuned."""
    labels = torch.tensor([i for row in rows for start, end in row.spans for i in row.ids[start:end]])
    ln_p, ln_q = (torch.cat([chances_of(model, row) for row in rows]) for model in (base, tuned))
    divergence = (ln_p.exp() * (ln_p - ln_q)).sum(-1).mean().item()
    return [divergence, *(-one.gather(1, labels[:, None]).mean().item() for one in (ln_p, ln_q))]


class Disabled:
    """The base as PEFT gives it."""

    def __init__(self, model):
        self.model = model

    def __call__(self, **inputs):
        with self.model.disable_adapter():
            return self.model(**inputs)


def compared(model, rows, way: type) -> list[float]:
    pair = [Scoring.of(model, adapter=adapter) for adapter in (False, True)]
    assert [type(scoring.passes) for scoring in pair] == [way, way]
    sums = torch.zeros(3, dtype=torch.float64)
    for part in pair[0].parts(rows):
        found = departure(*(scoring.foresight(part) for scoring in pair))
        sums += torch.stack([found.divergence, found.base_nats, found.tuned_nats])
    return (sums / sum(row.supervised_tokens for row in rows)).tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_divergence_and_perplexities_are_those_of_transformers_and_peft(shape: str, way: type):
    model, rows = build(shape).eval(), some_rows(16, shared=40, nested=40)
    found = compared(model, rows, way)
    assert found == pytest.approx(plain(Disabled(model), model, rows), rel=1e-5)
    assert found[0] > 0.01


@torch.no_grad()
def silence(model) -> None:
    """B = 0: the adapter is there and changes nothing."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.zero_()


@pytest.mark.parametrize("shape", SHAPES)
def test_an_adapter_that_changes_nothing_has_moved_by_exactly_nothing(shape: str, way: type):
    model, rows = build(shape).eval(), some_rows(16, shared=40, nested=40)
    silence(model)
    divergence, base, tuned = compared(model, rows, way)
    assert divergence == 0
    assert base == tuned


def nudge(model, part: str) -> None:
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and part in name:
                parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.mark.parametrize(
    ("lora", "part"),
    [
        ({"bias": "all"}, "bias"),
        ({"bias": "lora_only"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"targets": ["q_proj", "lm_head"]}, "lora_B"),
    ],
    ids=str,
)
def test_whatever_an_adapter_trains_the_base_is_the_untouched_one(lora: dict, part: str, way: type):
    model, rows = build("qwen2", **lora).eval(), some_rows(12, shared=40, nested=0)
    base = copy.deepcopy(model)
    silence(base)
    nudge(model, part)
    found = compared(model, rows, way)
    assert found == pytest.approx(plain(base, model, rows), rel=1e-5)
    assert found[0] > 0.01


def adapt(base):
    section = LoraSection.model_validate({"rank": 4, "targets": "all-linear"})
    with quiet():
        model = attach_lora(base, section, seed=0, batches=[]).eval()
    nudge(model, "lora_B")
    return model


def test_the_base_may_be_quantised(tmp_path: Path):
    model = adapt(load_tiny(write_tiny_model(tmp_path, hidden=64), quantization="nf4").model)
    rows = some_rows(8, shared=40, nested=0)
    assert compared(model, rows, PackedPasses) == pytest.approx(plain(Disabled(model), model, rows), rel=1e-4)


@pytest.fixture(scope="module")
def adapted(tiny_model_dir: Path):
    return adapt(load_tiny(tiny_model_dir).model)


@pytest.fixture
def predictors(adapted, tiny_model_dir: Path):
    def make(*, events=None, stop=None, **more):
        settings = GenerationSection(max_new_tokens=6, batch_size=2)
        shared = {"model": adapted, "encoder": encoder_of(tiny_model_dir), "settings": settings} | more
        shared |= {"lock": threading.Lock(), "emit": (events if events is not None else []).append}
        return [
            Predictor(**shared, stop=stop or StopToken(), adapter=adapter, label=label)
            for label, adapter in (("base", False), ("tuned", True))
        ]

    return make


def test_the_yardstick_is_what_the_base_itself_generates(predictors, adapted, way: type):
    base, tuned = predictors()
    rows = []
    for text in TEXTS:
        ids = torch.tensor([base.encoder.encode_prompt([module.Message("user", text)])])
        mask = torch.ones_like(ids)
        with adapted.disable_adapter():
            whole = adapted.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=6, do_sample=False, eos_token_id=2, pad_token_id=0
            )
        rows.append(module.TokenRow(1, tuple(whole[0].tolist()), ((ids.shape[1], whole.shape[1]),)))
    divergence, base_nats, tuned_nats = plain(Disabled(adapted), adapted, rows)
    found = measure_departure(base, tuned, TEXTS)
    assert type(base.scoring().passes) is way
    assert found.tokens == sum(row.supervised_tokens for row in rows)
    assert found.divergence == pytest.approx(divergence, rel=1e-5)
    expected = [math.exp(base_nats), math.exp(tuned_nats)]
    assert [found.base_perplexity, found.tuned_perplexity] == pytest.approx(expected, rel=1e-5)


def test_the_token_that_ends_an_answer_counts(predictors, monkeypatch):
    base, tuned = predictors()
    monkeypatch.setattr(type(base.encoder), "stop_ids", property(lambda _self: frozenset(range(320))))
    assert measure_departure(base, tuned, TEXTS).tokens == len(TEXTS)


def test_few_rows_are_held_where_all_of_their_logits_are(predictors, monkeypatch):
    monkeypatch.setattr(choosing, "_known_obstacle", lambda _model: "it is told so")
    vocabulary = module._vocabulary(predictors()[0])
    monkeypatch.setattr(module, "CHUNK_LOGITS", 2 * 6 * vocabulary)
    held = []
    real = Scoring.foresight
    monkeypatch.setattr(Scoring, "foresight", lambda self, rows: held.append(len(rows)) or real(self, rows))
    measure_departure(*predictors(), TEXTS)
    assert held == [2, 2, 2, 2, 1, 1]


def test_progress_is_told_of_answers_and_of_comparisons(predictors):
    events: list[object] = []
    measure_departure(*predictors(events=events), TEXTS)
    told = [(event.label, event.done) for event in events if isinstance(event, PredictionProgress)]
    assert told == [("base", 2), ("base", 4), ("base", 5), ("tuned", 5)]


def test_the_lock_is_held_while_the_model_computes_and_free_between(predictors, monkeypatch):
    base, tuned = predictors()
    held, free = [], []
    real = Scoring.foresight
    monkeypatch.setattr(Scoring, "foresight", lambda self, rows: held.append(base.lock.locked()) or real(self, rows))
    for one in (base, tuned):
        object.__setattr__(one, "emit", lambda _event: free.append(not base.lock.locked()))
    measure_departure(base, tuned, TEXTS)
    assert held == [True, True]
    assert free == [True] * 4


@pytest.mark.parametrize("after", ["base", "tuned"])
def test_a_thrown_token_ends_the_work(predictors, after: str, monkeypatch):
    monkeypatch.setattr(choosing, "_known_obstacle", lambda _model: "it is told so")
    monkeypatch.setattr(module, "CHUNK_LOGITS", 1)
    stop, events = StopToken(), []
    base, tuned = predictors(events=events, stop=stop)

    def emit(event: object) -> None:
        events.append(event)
        if isinstance(event, PredictionProgress):
            stop.stop()

    object.__setattr__({"base": base, "tuned": tuned}[after], "emit", emit)
    with pytest.raises(InferenceError) as caught:
        measure_departure(base, tuned, TEXTS)
    assert caught.value.code == "inference.stopped"
    told = [event for event in events if isinstance(event, PredictionProgress)]
    assert (told[-1].label, told[-1].done < len(TEXTS)) == (after, True)


def test_model_modes_and_random_numbers_are_left_as_they_were(predictors, adapted):
    def facts():
        return (
            [(name, p.requires_grad) for name, p in adapted.named_parameters()],
            [name for name, module in adapted.named_modules() if "forward" in vars(module) or module.training],
            adapted.get_model_status().enabled,
            adapted.config._attn_implementation,
            torch.get_rng_state().tolist(),
        )

    adapted.requires_grad_(requires_grad=False)
    before = facts()
    measure_departure(*predictors(), TEXTS)
    assert facts() == before


def test_a_template_that_refuses_the_prompts_is_told_before_anything_is_computed(predictors, tiny_model_dir: Path):
    source = (
        "{% for m in messages %}{% if m.content == 'hi there' %}{{ raise_exception('no small talk') }}{% endif %}"
        "{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    events: list[object] = []
    base, tuned = predictors(events=events, encoder=encoder_of(tiny_model_dir, template=source))
    with pytest.raises(DataError, match="no small talk") as caught:
        measure_departure(base, tuned, TEXTS)
    assert caught.value.code == "evaluation.not-askable"
    assert caught.value.problems[0].field == "evaluation.forgetting"
    assert events == []


def test_a_context_that_is_too_short_is_told(predictors):
    with pytest.raises(InferenceError, match="512") as caught:
        measure_departure(*predictors(), ["x" * 600])
    assert caught.value.code == "evaluation.not-askable"


def test_a_perplexity_beyond_all_numbers_is_infinite():
    assert module._perplexity(1e4) == math.inf
