"""What a recipe allows decides how passes are computed, never what."""

from __future__ import annotations

import pytest
import torch
from tiny_runs import ROWS, run
from tiny_shapes import build

from lorasdk.engine.memory_plan import MemoryPlan, Need, need_of, plan_memory, recomputing
from lorasdk.errors import ResourceError
from lorasdk.events import Notice
from lorasdk.forward.choosing import choose_passes

FULL, TWICE = Need(1100, 10), Need(1100, 2)


@pytest.mark.parametrize(
    ("limit", "plan"),
    [
        (10**6, MemoryPlan(200, recompute=False)),
        (2100, MemoryPlan(100, recompute=False)),
        (1600, MemoryPlan(50, recompute=False)),
        (1590, MemoryPlan(200, recompute=True)),
        (1200, MemoryPlan(50, recompute=True)),
    ],
)
def test_packs_become_smaller_before_layers_are_computed_twice(limit: int, plan: MemoryPlan):
    assert plan_memory(FULL, TWICE, limit=limit, longest=50, max_tokens=200) == plan


def test_a_limit_that_the_longest_row_does_not_fit_into_is_refused():
    with pytest.raises(ResourceError) as caught:
        plan_memory(FULL, TWICE, limit=1199, longest=50, max_tokens=200)
    assert caught.value.code == "training.memory-too-small"


def test_what_a_pass_keeps_is_what_its_graph_holds():
    model = build("llama").train()
    passes = choose_passes(model, max_tokens=2048, max_rows=None).passes
    need = need_of(passes, model, longest=60)
    again = need_of(passes, model, longest=60)
    assert need == again
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert need.resident == sum(t.nbytes for t in (*model.parameters(), *model.buffers())) + 12 * trained
    # Of each token at least: every layer's input, and the two factors of its feed-forward.
    assert need.per_token > 3 * 4 * (32 + 2 * 48)
    assert recomputing(need, layers=3, bytes_per_state=4 * 32).per_token < need.per_token


def gigabytes(passes_of: int, *, recompute: bool = False) -> float:
    model = build("llama", dropout=0.25).train()
    need = need_of(choose_passes(model, max_tokens=2048, max_rows=None).passes, model, longest=passes_of)
    way = recomputing(need, layers=3, bytes_per_state=4 * 32) if recompute else need
    return (way.bytes_for(passes_of) + 1) / 1e9


@pytest.mark.parametrize("recompute", [False, True])
def test_a_training_within_a_limit_computes_the_same_steps(recompute: bool):
    longest = max(len(row.ids) for row in ROWS)
    limit = gigabytes(longest, recompute=recompute)
    events: list[object] = []
    whole, _ = run({"max_steps": 3}, lora={"dropout": 0})
    limited, _ = run({"max_steps": 3, "memory_gb": limit}, lora={"dropout": 0}, emit=events.append)
    (notice,) = [event for event in events if isinstance(event, Notice) and event.code == "training.memory-plan"]
    assert ("computed twice" in notice.message) == recompute
    for a, b in zip(whole.history, limited.history, strict=True):
        assert (a.loss, a.gradient_norm) == pytest.approx((b.loss, b.gradient_norm), rel=1e-4)


def test_the_model_is_left_without_recomputation():
    model = build("llama", dropout=0)
    run({"max_steps": 1, "gradient_checkpointing": True}, model=model)
    assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    assert torch.is_grad_enabled()
