"""Chooses how the passes of a training are computed within the memory that the recipe allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lorasdk.basemodel.quiet import quiet
from lorasdk.data.encoding import TokenRow
from lorasdk.engine.memory_plan import MemoryPlan, need_of, plan_memory, recomputing
from lorasdk.engine.task import TrainingTask
from lorasdk.events import Notice
from lorasdk.forward.choosing import choose_passes
from lorasdk.forward.kernel_notice import kernel_notice
from lorasdk.forward.passes import Passes

if TYPE_CHECKING:
    from peft import PeftModel

PACK_TOKENS = 2048
"""Tokens of a forward pass when the recipe leaves it open."""


@contextmanager
def chosen_passes(task: TrainingTask) -> Iterator[Passes]:
    """How passes of the task's model are computed; the model is as before after the block.

    Raises:
        ResourceError: the recipe allows less memory than the longest row needs.
    """
    section, model = task.section, task.model
    plan = MemoryPlan(section.pack_tokens or PACK_TOKENS, section.gradient_checkpointing)
    if section.memory_gb is not None:
        plan = _within(int(section.memory_gb * 1e9), plan, task)
    with _recomputed(model, enabled=plan.recompute):
        yield _choose(task, plan, told=True)


def _choose(task: TrainingTask, plan: MemoryPlan, *, told: bool) -> Passes:
    choice = choose_passes(
        task.model,
        max_tokens=plan.max_tokens,
        max_rows=task.section.micro_batch,
        checkpointing=plan.recompute,
    )
    if not told:
        return choice.passes
    if choice.why_padded:
        task.emit(Notice("training.padded", f"rows are padded, not packed: {choice.why_padded}"))
    elif notice := kernel_notice(task.model):
        task.emit(notice)
    return choice.passes


def _within(limit: int, plan: MemoryPlan, task: TrainingTask) -> MemoryPlan:
    model = task.model
    longest = max(_longest(task.train), _longest(task.validation))
    need = need_of(_choose(task, plan, told=False), model, longest=longest)
    config = model.get_base_model().config.get_text_config()
    width = model.get_input_embeddings().weight.element_size() * config.hidden_size
    twice = recomputing(need, layers=config.num_hidden_layers, bytes_per_state=width)
    need = twice if plan.recompute else need
    found = plan_memory(need, twice, limit=limit, longest=longest, max_tokens=plan.max_tokens)
    found = MemoryPlan(found.max_tokens, found.recompute or plan.recompute)
    if found != plan:
        again = ", layers computed twice" if found.recompute else ""
        what = f"passes of {found.max_tokens} tokens{again}"
        task.emit(Notice("training.memory-plan", f"to stay within {limit / 1e9:g} GB: {what}"))
    return found


def _longest(rows: Sequence[TokenRow]) -> int:
    return max((len(row.ids) for row in rows), default=0)


@contextmanager
def _recomputed(model: PeftModel, *, enabled: bool) -> Iterator[None]:
    if enabled:
        with quiet():
            model.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        yield
    finally:
        if enabled:
            with quiet():
                model.gradient_checkpointing_disable()
                # Enabled for the sake of PEFT, and not always taken back with it.
                model.get_base_model().disable_input_require_grads()
