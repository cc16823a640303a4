"""Memory that runs out makes passes smaller and changes nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny_runs import ROWS, run, same

from lorasdk.engine.out_of_memory import shortage_in
from lorasdk.errors import ResourceError
from lorasdk.events import MicroBatchHalved
from lorasdk.forward.packed import PackedPasses

CPU = torch.device("cpu")
TORCH = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000 bytes. Error code 12"
CUDA = "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 23.69 GiB"


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (RuntimeError(TORCH), 4_000_000),
        (torch.OutOfMemoryError(CUDA), int(1.5 * 2**30)),
        (MemoryError(), None),
        (MemoryError("Unable to allocate 3 GiB"), None),
    ],
)
def test_what_was_missing_is_read_from_the_allocators_words(error: Exception, needed: int | None):
    shortage = shortage_in(error, CPU)
    assert shortage is not None
    assert shortage.needed == needed
    assert shortage.available > 0


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory")])
def test_other_errors_are_no_shortage(error: Exception):
    assert shortage_in(error, CPU) is None


def too_many_rows(monkeypatch, most: int, *, where: str) -> None:
    """Let passes of more rows run out of memory."""
    real = {name: getattr(PackedPasses, name) for name in ("loss", "scores")}

    def loss(self, rows):
        if not torch.is_grad_enabled() or len(rows) <= most:
            return real["loss"](self, rows)
        if where == "forward":
            raise RuntimeError(TORCH)
        nats = real["loss"](self, rows)
        nats.register_hook(lambda _gradient: _fail())
        return nats

    def scores(self, rows):
        if len(rows) > most:
            raise MemoryError
        return real["scores"](self, rows)

    monkeypatch.setattr(PackedPasses, "loss", loss if where != "validation" else real["loss"])
    monkeypatch.setattr(PackedPasses, "scores", scores if where == "validation" else real["scores"])


def _fail():
    raise RuntimeError(TORCH)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_X74_passes_are_halved_and_the_steps_stay_what_they_are(monkeypatch, where: str):
    section, lora = {"batch_size": 8, "max_steps": 3}, {"dropout": 0}
    whole, _ = run(section, lora=lora)
    too_many_rows(monkeypatch, 3, where=where)
    events: list[object] = []
    halved, _ = run(section, lora=lora, emit=events.append)
    assert [(event.step, event.rows) for event in events if isinstance(event, MicroBatchHalved)] == [(1, 4), (1, 2)]
    for a, b in zip(whole.history, halved.history, strict=True):
        assert (a.loss, a.gradient_norm) == pytest.approx((b.loss, b.gradient_norm), rel=1e-4)


def test_X74_validation_is_halved_too(monkeypatch):
    section = {"max_steps": 2, "eval_every_steps": 1}
    whole, _ = run(section, validation=ROWS, lora={"dropout": 0})
    too_many_rows(monkeypatch, 2, where="validation")
    events: list[object] = []
    halved, _ = run(section, validation=ROWS, lora={"dropout": 0}, emit=events.append)
    assert {event.rows for event in events if isinstance(event, MicroBatchHalved)} == {5, 2}
    assert halved.validations[0].metrics == pytest.approx(whole.validations[0].metrics, rel=1e-4)


def test_X74_a_step_of_the_optimizer_is_taken_again(monkeypatch):
    whole, _ = run({"max_steps": 3}, lora={"dropout": 0})
    real, calls = torch.optim.AdamW.step, []

    def failing(self, *args):
        calls.append(None)
        if len(calls) == 2:
            raise torch.OutOfMemoryError(CUDA)
        return real(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", failing)
    halved, _ = run({"max_steps": 3}, lora={"dropout": 0})
    assert len(calls) == 4
    for a, b in zip(whole.history, halved.history, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)


def test_the_limit_is_part_of_a_snapshot(monkeypatch):
    section = {"checkpoint_every_steps": 1, "max_steps": 4}
    too_many_rows(monkeypatch, 2, where="forward")
    kept = []
    _, weights = run(section, keep=kept.append)
    monkeypatch.undo()
    _, others = run(section, start=kept[1])
    assert same(weights, others)


def test_X75_a_row_that_does_not_fit_alone_is_told_with_what_may_help(monkeypatch):
    too_many_rows(monkeypatch, 0, where="forward")
    with pytest.raises(ResourceError) as caught:
        run()
    text = str(caught.value)
    assert caught.value.code == "training.out-of-memory"
    assert "4 MB more needed" in text
    assert "available" in text
    for knob in ("data.max_tokens", "training.gradient_checkpointing", "base_model.quantization"):
        assert knob in text
