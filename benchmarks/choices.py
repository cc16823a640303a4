"""What the constants and settings that we chose are worth: each against its alternatives, in turn, in one process."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from benchmarks.tuned_model import encoder_of, token_rows, tuned_model
from benchmarks.workloads import WORKLOADS

ROUNDS = 3
STEPS = 3
"""Of each training; the first is not counted."""
UPPER = list(range(20, 30))
"""Of 30 layers, when only the upper ones are adapted."""
PROMPTS = 48

Way = Callable[[], float]
"""Does the work once; its seconds."""


def measure(model: Path, *, tell: Callable[[str], None]) -> None:
    """Tell, for each question, how long the alternatives take, as multiples of the first."""
    tell("tokens of a pass (training.pack_tokens), long answers")
    mixed = token_rows(WORKLOADS["mixed-32"].rows, model)
    tuned = tuned_model(model)
    sizes = (2048, 512, 1024, 4096)
    _compare({f"{n:,}": _training(tuned, mixed, pack_tokens=n) for n in sizes}, tell)
    _compare_keeping(model, tell)
    tell("layers that are computed twice (training.gradient_checkpointing), long answers")
    ways = {"kept": _training(tuned, mixed), "computed twice": _training(tuned, mixed, gradient_checkpointing=True)}
    _compare(ways, tell)
    _compare_sharing(model, tuned, tell)
    _compare_merging(model, tuned, tell)


def _compare_keeping(model: Path, tell: Callable[[str], None]) -> None:
    """Only upper layers are adapted: are the constant states below worth keeping?"""
    from lorasdk.engine import loop

    tell(f"states below the adapted layers ({len(UPPER)} of 30), long answers, a step after they were computed")
    rows, upper = token_rows(WORKLOADS["mixed-32"].rows[:64], model), tuned_model(model, layers=UPPER)
    with_states = _training(upper, rows, max_steps=6)

    def without() -> float:
        with patch.object(loop, "WORTH_KEEPING", 10**9):
            return with_states()

    _compare({"kept": with_states, "computed each time": without}, tell)


def _compare_sharing(model: Path, tuned: Any, tell: Callable[[str], None]) -> None:  # noqa: ANN401
    """From how many saved tokens on is a shared beginning worth a segment of its own?"""
    from lorasdk.forward.choosing import choose_passes

    tell("tokens that a shared segment must save (WORTH_SHARING), shared instruction, 32 rows")
    rows = token_rows(WORKLOADS["wordnet-32"].rows[:32], model)
    passes = choose_passes(tuned, max_tokens=2048, max_rows=None).passes
    tuned.train()

    def way(worth: int) -> Way:
        chosen = replace(passes, worth_sharing=worth)

        def run() -> float:
            began = time.perf_counter()
            with chosen.ready():
                chosen.loss(rows).backward()
            tuned.zero_grad()
            return time.perf_counter() - began

        return run

    _compare({str(worth): way(worth) for worth in (32, 1, 8, 128, 512)}, tell)


def _compare_merging(model: Path, tuned: Any, tell: Callable[[str], None]) -> None:  # noqa: ANN401
    """Answers with the adapter beside the weights, and with weights that it was merged into."""
    import threading

    from lorasdk.contracts import Message
    from lorasdk.inference.predictor import Predictor
    from lorasdk.recipe.schema import GenerationSection

    tell(f"{PROMPTS} answers of 16 tokens: adapter beside the weights or merged into them")
    tuned.eval()
    prompts = [[Message("user", row["prompt"])] for row in WORKLOADS["wordnet-32"].held_out][:PROMPTS]
    settings, encoder = GenerationSection(max_new_tokens=16, batch_size=PROMPTS), encoder_of(model)
    merged = copy.deepcopy(tuned).merge_and_unload()

    def way(which: Any, *, adapter: bool) -> Way:  # noqa: ANN401
        predictor = Predictor(which, encoder, settings, threading.Lock(), adapter=adapter)
        return lambda: _seconds(lambda: predictor.complete(prompts))

    _compare({"beside": way(tuned, adapter=True), "merged": way(merged, adapter=False)}, tell)


def _training(model: Any, rows: list, *, max_steps: int = STEPS, **section: object) -> Way:  # noqa: ANN401
    """Seconds of the steps after the first."""
    from lorasdk.engine.loop import run_training
    from lorasdk.engine.task import TrainingTask
    from lorasdk.events import StepFinished
    from lorasdk.recipe.schema import TrainingSection
    from lorasdk.stopping import StopToken

    settings = TrainingSection.model_validate({"batch_size": 32, "max_steps": max_steps, **section})

    def run() -> float:
        ends: list[float] = []

        def note(event: object) -> None:
            if isinstance(event, StepFinished):
                ends.append(time.perf_counter())

        with _weights_put_back(model):
            run_training(
                TrainingTask(
                    model=model,
                    section=settings,
                    train=rows,
                    validation=(),
                    score=dict,
                    higher_is_better=False,
                    emit=note,
                    stop=StopToken(),
                )
            )
        return ends[-1] - ends[0]

    return run


@contextmanager
def _weights_put_back(model: Any) -> Iterator[None]:  # noqa: ANN401
    import torch

    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    yield
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in before:
                parameter.copy_(before[name])


def _compare(ways: Mapping[str, Way], tell: Callable[[str], None]) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for number in range(ROUNDS):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds[name].append(ways[name]())
    first, *_ = seconds
    for name, each in seconds.items():
        ratios = [one / other for one, other in zip(each, seconds[first], strict=True)]
        tell(f"  {name:>20}  {median(each):6.2f} s  {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
