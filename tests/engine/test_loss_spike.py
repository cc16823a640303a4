from tiny_runs import run, same

from lorasdk.engine.gate import loss_spike
from lorasdk.events import LossSpike
from lorasdk.forward.packed import PackedPasses
from lorasdk.results import LossPoint


def history(*losses: float) -> list[LossPoint]:
    return [LossPoint(step, loss, 0.1, 1.0) for step, loss in enumerate(losses, start=1)]


def test_a_loss_ten_times_the_usual_one_has_jumped():
    usual = history(*[1.0] * 8, 30.0)
    assert loss_spike(10.1, usual) == 1.0
    assert loss_spike(10.0, usual) is None


def test_a_few_steps_are_not_enough_to_know_what_is_usual():
    assert loss_spike(100.0, history(*[1.0] * 7)) is None


def spiked(monkeypatch, policy: str):
    calls, real = [], PackedPasses.loss

    def jumping(self, rows):
        nats = real(self, rows)
        if nats.requires_grad:
            calls.append(None)
        return nats * 1000 if len(calls) == 10 and nats.requires_grad else nats

    monkeypatch.setattr(PackedPasses, "loss", jumping)
    events: list[object] = []
    section = {"max_steps": 10, "schedule": "constant", "warmup": 0, "on_loss_spike": policy}
    trained, weights = run(section, emit=events.append)
    return trained, weights, [event for event in events if isinstance(event, LossSpike)]


def test_X73_a_jump_is_told_and_the_step_taken(monkeypatch):
    _, before = run({"max_steps": 9, "schedule": "constant", "warmup": 0})
    _, weights, told = spiked(monkeypatch, "tell")
    assert [(event.step, event.skipped) for event in told] == [(10, False)]
    assert not same(before, weights)


def test_X73_a_step_that_jumps_can_be_left_out(monkeypatch):
    _, before = run({"max_steps": 9, "schedule": "constant", "warmup": 0})
    trained, weights, told = spiked(monkeypatch, "skip")
    assert [(event.step, event.skipped) for event in told] == [(10, True)]
    assert trained.steps == 10
    assert same(before, weights)
