import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import chat, encoder_of, load_tiny, token_rows

from lorasdk.contracts import Example
from lorasdk.engine.batches import BatchPlan
from lorasdk.engine.loop import run_training
from lorasdk.engine.lora import attach_lora
from lorasdk.engine.optimizer import adamw
from lorasdk.engine.step_gradient import HALF_PRECISION_LOSS_SCALE, StepGradient
from lorasdk.engine.task import TrainingTask
from lorasdk.errors import TrainingError
from lorasdk.events import EvaluationFinished, RunStopped, StepFinished
from lorasdk.forward.packed import PackedPasses
from lorasdk.recipe.schema import LoraSection, TrainingSection
from lorasdk.stopping import StopToken

EXAMPLES = [chat(f"say {i}", "yes" if i % 2 else "no no no", row=i + 1) for i in range(10)]


@pytest.fixture(scope="module")
def rows(tiny_model_dir: Path):
    return token_rows(encoder_of(tiny_model_dir), EXAMPLES)


def train(folder: Path, rows, *, validation=(), events=None, stop=None, lora=None, score=dict, **section):
    model = attach_lora(load_tiny(folder).model, LoraSection.model_validate(lora or {}), seed=0, batches=[])
    settings = {"max_steps": 4, "batch_size": 4, "learning_rate": 1e-2, **section}
    task = TrainingTask(
        model=model,
        section=TrainingSection.model_validate(settings),
        train=rows,
        validation=validation,
        score=score,
        higher_is_better=section.get("metric", "loss") != "loss",
        emit=(lambda _event: None) if events is None else events.append,
        stop=stop or StopToken(),
    )
    return run_training(task), model


def adapter(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_loss_falls(tiny_model_dir: Path, rows):
    history = train(tiny_model_dir, rows, max_steps=20)[0].history
    assert history[-1].loss < history[0].loss / 2


def test_two_runs_end_with_the_same_bits_dropout_included(tiny_model_dir: Path, rows):
    runs = [train(tiny_model_dir, rows, lora={"dropout": 0.5}) for _ in range(2)]
    assert runs[0][0].history == runs[1][0].history
    assert same(adapter(runs[0][1]), adapter(runs[1][1]))


def test_the_seed_changes_the_order(tiny_model_dir: Path, rows):
    assert train(tiny_model_dir, rows, seed=1)[0].history != train(tiny_model_dir, rows, seed=2)[0].history


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_change_how_a_step_is_computed_but_not_what(tiny_model_dir: Path, rows, micro_batch: int):
    whole = train(tiny_model_dir, rows, batch_size=10, max_steps=2)[0].history
    parts = train(tiny_model_dir, rows, batch_size=10, max_steps=2, micro_batch=micro_batch)[0].history
    for a, b in zip(whole, parts, strict=True):
        assert (a.loss, a.gradient_norm) == pytest.approx((b.loss, b.gradient_norm), rel=1e-4)


def test_the_step_loss_is_the_mean_over_all_supervised_tokens_of_the_step(tiny_model_dir: Path, rows):
    model = attach_lora(load_tiny(tiny_model_dir).model, LoraSection(), seed=0, batches=[])
    chosen = BatchPlan.of(10, batch_size=4, seed=42, epochs=None, max_steps=1).row_numbers(1)
    nats = tokens = 0
    for row in (rows[i] for i in chosen):
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
        nats -= sum(logits[i - 1, row.ids[i]].item() for start, end in row.spans for i in range(start, end))
        tokens += row.supervised_tokens
    assert train(tiny_model_dir, rows, max_steps=1)[0].history[0].loss == pytest.approx(nats / tokens, rel=1e-5)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_D37_one_row_few_rows_and_a_ragged_last_step_train(tiny_model_dir: Path, rows, count: int):
    events = []
    trained, _ = train(tiny_model_dir, rows[:count], max_steps=None, epochs=2, events=events)
    assert trained.steps == 2 * math.ceil(count / 4)
    assert trained.tokens == 2 * sum(len(row.ids) for row in rows[:count])
    assert [event.step for event in events if isinstance(event, StepFinished)] == list(range(1, trained.steps + 1))


def test_gradient_checkpointing_gives_the_same_gradients(tiny_model_dir: Path, rows):
    model = attach_lora(load_tiny(tiny_model_dir).model, LoraSection(), seed=0, batches=[])
    plain = train(tiny_model_dir, rows, max_steps=1)[0].history[0]
    from lorasdk.basemodel.quiet import quiet

    with quiet():
        model.gradient_checkpointing_enable({"use_reentrant": False})
        settings = {"max_steps": 1, "batch_size": 4, "learning_rate": 1e-2, "gradient_checkpointing": True}
        task = TrainingTask(
            model, TrainingSection.model_validate(settings), rows, (), dict, False, lambda _event: None, StopToken()
        )
        again = run_training(task).history[0]
    assert (plain.loss, plain.gradient_norm) == pytest.approx((again.loss, again.gradient_norm), rel=1e-5)


def test_gradients_are_clipped_to_the_norm(tiny_model_dir: Path, rows, monkeypatch):
    seen = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        seen.append(torch.nn.utils.get_total_norm(gradients).item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    trained, _ = train(tiny_model_dir, rows, max_grad_norm=0.1, max_steps=1)
    assert seen == [pytest.approx(0.1, rel=1e-3)]
    assert trained.history[0].gradient_norm > 0.1


def test_weight_decay_is_not_applied_to_vectors():
    matrix, vector = (torch.nn.Parameter(torch.ones(shape)) for shape in ((2, 2), (2,)))
    groups = adamw({"m": matrix, "v": vector}, 0.5).param_groups
    assert [(group["weight_decay"], group["params"][0].ndim) for group in groups] == [(0.5, 2), (0.0, 1)]


def poison(monkeypatch, *, at_step: int, what: str):
    """Make the loss, or only the gradient, of one step not a number."""
    real, calls = PackedPasses.loss, []

    def faulty(self, rows):
        nats = real(self, rows)
        if nats.requires_grad:  # not one of the trial before the first step
            calls.append(None)
        if len(calls) != at_step:
            return nats
        if what == "loss":
            return nats * float("nan")
        nats.register_hook(lambda gradient: gradient * float("inf"))
        return nats

    monkeypatch.setattr(PackedPasses, "loss", faulty)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_X72_a_loss_or_gradient_that_is_not_finite_stops_before_the_step(tiny_model_dir, rows, monkeypatch, what):
    good = adapter(train(tiny_model_dir, rows, max_steps=1, schedule="constant", warmup=0)[1])
    poison(monkeypatch, at_step=2, what=what)
    model = attach_lora(load_tiny(tiny_model_dir).model, LoraSection(), seed=0, batches=[])
    section = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-2, "schedule": "constant", "warmup": 0}
    settings = TrainingSection.model_validate(section)
    with pytest.raises(TrainingError) as caught:
        run_training(TrainingTask(model, settings, rows, (), dict, False, lambda _event: None, StopToken()))
    assert caught.value.code == f"training.{what}-not-finite"
    chosen = BatchPlan.of(10, batch_size=4, seed=42, epochs=None, max_steps=3).row_numbers(2)
    assert "step 2" in str(caught.value)
    assert all(str(i + 1) in caught.value.problems[0].place for i in chosen)
    assert same(adapter(model), good)


def test_a_stop_between_micro_batches_leaves_the_last_whole_step(tiny_model_dir: Path, rows):
    stop, events = StopToken(), []

    def emit(event):
        events.append(event)
        if isinstance(event, StepFinished) and event.step == 2:
            stop.stop()

    class Events:
        append = staticmethod(emit)

    trained, model = train(tiny_model_dir, rows, events=Events, stop=stop)
    reference, _ = train(tiny_model_dir, rows)
    assert (trained.stopped, trained.steps) == ("requested", 2)
    assert trained.history == reference.history[:2]
    assert isinstance(events[-1], RunStopped)
    assert not model.training


def test_a_stop_before_the_first_step_trains_nothing(tiny_model_dir: Path, rows):
    stop = StopToken()
    stop.stop()
    assert train(tiny_model_dir, rows, stop=stop)[0].steps == 0


def test_validation_comes_every_n_steps_and_at_the_end(tiny_model_dir: Path, rows):
    events = []
    trained, _ = train(tiny_model_dir, rows, validation=rows[:3], max_steps=5, eval_every_steps=2, events=events)
    assert [point.step for point in trained.validations] == [2, 4, 5]
    assert [event.step for event in events if isinstance(event, EvaluationFinished)] == [2, 4, 5]
    assert set(trained.validations[0].metrics) == {"loss", "perplexity", "token_accuracy"}


def test_validation_does_not_change_the_training(tiny_model_dir: Path, rows):
    lora = {"dropout": 0.5}
    plain, _ = train(tiny_model_dir, rows, lora=lora)
    watched, _ = train(tiny_model_dir, rows, lora=lora, validation=rows[:3], eval_every_steps=1)
    assert plain.history == watched.history


def test_early_stopping_ends_the_run(tiny_model_dir: Path, rows):
    scores = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    trained, _ = train(
        tiny_model_dir,
        rows,
        validation=rows[:2],
        eval_every_steps=1,
        max_steps=5,
        metric="mine",
        score=lambda: {"mine": next(scores)},
        early_stopping={"patience": 2},
    )
    assert (trained.stopped, trained.steps) == ("early_stopping", 3)


def test_the_best_weights_are_kept(tiny_model_dir: Path, rows):
    scores = iter([0.1, 0.9, 0.2, 0.3])
    trained, model = train(
        tiny_model_dir,
        rows,
        validation=rows[:2],
        eval_every_steps=1,
        metric="mine",
        score=lambda: {"mine": next(scores)},
        keep="best",
    )
    assert (trained.steps, trained.saved_step) == (4, 2)
    stop = StopToken()

    class StopAfterTwo:
        @staticmethod
        def append(event):
            if isinstance(event, StepFinished) and event.step == 2:
                stop.stop()

    assert same(adapter(model), adapter(train(tiny_model_dir, rows, events=StopAfterTwo, stop=stop)[1]))


def test_half_precision_gradients_are_scaled_by_a_power_of_two_and_back(tiny_model_dir: Path, rows, monkeypatch):
    plain, model = train(tiny_model_dir, rows, max_steps=2)
    real = StepGradient.of
    scaled_up = staticmethod(lambda *given: replace(real(*given), scale=HALF_PRECISION_LOSS_SCALE))
    monkeypatch.setattr(StepGradient, "of", scaled_up)
    scaled, other = train(tiny_model_dir, rows, max_steps=2)
    assert plain.history == scaled.history
    assert same(adapter(model), adapter(other))


def test_the_global_random_state_is_left_alone(tiny_model_dir: Path, rows):
    before = torch.get_rng_state()
    train(tiny_model_dir, rows, lora={"dropout": 0.5})
    assert torch.equal(before, torch.get_rng_state())


def test_plain_text_trains_too(tiny_model_dir: Path):
    rows = token_rows(encoder_of(tiny_model_dir), [Example(i, text=f"text number {i}") for i in range(4)])
    assert train(tiny_model_dir, rows, max_steps=2)[0].steps == 2
