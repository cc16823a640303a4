"""The one seam between a tuner and the rooms that import torch: what it has done for it there.

`HeavyRooms` is the real thing, and imports them when work begins. `lorasdk.testing` has another for tests of programs
that embed a tuner, which answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lorasdk.asking import Resident, Scheduler, SchedulerOrder, Voice
from lorasdk.contracts import Message, Predictor
from lorasdk.data.examples import Examples
from lorasdk.eval_report import Forgetting
from lorasdk.events import Emit
from lorasdk.exports import ExportOrder, ExportResult
from lorasdk.recipe.schema import GenerationSection
from lorasdk.resolving import Resolved
from lorasdk.results import Completion, PreviewRow, TrainResult
from lorasdk.stopping import StopToken

if TYPE_CHECKING:
    from lorasdk.artifacts.passport import Passport
    from lorasdk.workbench.bench import Workbench

COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""torch writes its compiler's default cache folder into the environment when bitsandbytes imports it."""


class MixedPredictor(Predictor, Protocol):
    """A predictor that can also answer piece by piece, and with several adapters at once."""

    def complete_each(self, prompts: Sequence[Sequence[Message]], voices: Sequence[Voice]) -> list[Completion]:
        """Answer each conversation with the voice of the same place, all in the same batches."""
        ...

    def stream(self, prompt: Sequence[Message], voice: Voice | None = None) -> Iterator[str]:
        """Yield the answer in pieces; closing the iterator ends the work."""
        ...


class Bench(Protocol):
    """A base model with at most one adapter, ready to answer."""

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter is in memory."""
        ...

    def preview(self, splits: Mapping[str, Examples], rows: int, emit: Emit) -> tuple[PreviewRow, ...]:
        """The first rows of each split as the model will see them."""
        ...

    def attach_saved(self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit) -> None:
        """Put a saved adapter on the base model, if its passport agrees with it."""
        ...

    def predictor(
        self, settings: GenerationSection, *, adapter: bool, label: str, emit: Emit, stop: StopToken
    ) -> MixedPredictor:
        """Something that answers, with the adapter or without."""
        ...

    def read_adapter(self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit) -> Resident:
        """Read a saved adapter to lie beside the model, if its passport agrees with it."""
        ...

    def schedule(self, order: SchedulerOrder, emit: Emit) -> Scheduler:
        """Something that answers requests together as they arrive."""
        ...

    def forgetting(self, *, emit: Emit, stop: StopToken) -> Forgetting:
        """How far the adapter has moved the model away from its base, with the recipe's bound."""
        ...

    def share_base(self, former: Bench | None) -> None:
        """Use the base model that `former` gave back, and have one to give back; before there are weights."""
        ...

    def give_base_back(self) -> None:
        """Let go of all but the base model, if that is what it was, for the next bench."""
        ...

    def release(self) -> None:
        """Let go of the model's memory."""
        ...


@dataclass(frozen=True)
class TrainingOrder:
    """One training that is wanted."""

    splits: Mapping[str, Examples]
    """Rows; empty when the run was stopped before they were read."""
    run_dir: Path
    emit: Emit
    stop: StopToken
    began: float
    """By ``time.perf_counter``."""
    allow_changes: tuple[str, ...]
    """What may differ from the run that goes on."""


class Rooms(Protocol):
    """Whoever does the heavy work."""

    @property
    def real(self) -> bool:
        """Whether a base model is needed, and whether another process would do the same work."""
        ...

    def quiet(self) -> AbstractContextManager[None]:
        """Keep what the work's libraries say and set away from the host."""
        ...

    def open(self, resolved: Resolved, *, trust_remote_code: bool, emit: Emit) -> Bench:
        """A bench for a recipe, without weights yet."""
        ...

    def train(self, bench: Bench, order: TrainingOrder) -> tuple[TrainResult, bool]:
        """Train on a bench without adapter; the result, and whether the base model in memory has changed with it."""
        ...

    def export(self, bench: Bench, order: ExportOrder) -> ExportResult:
        """Write the adapter of a bench in another form, and compare what was written with it."""
        ...


class HeavyRooms:
    """torch, transformers, peft and bitsandbytes."""

    real = True

    def quiet(self) -> AbstractContextManager[None]:
        """Import bitsandbytes, and mute the libraries."""
        return _quietly_imported()

    def open(self, resolved: Resolved, *, trust_remote_code: bool, emit: Emit) -> Workbench:
        """Find the base model's files and load its tokenizer."""
        from lorasdk.workbench.bench import Workbench

        return Workbench.of(resolved, trust_remote_code=trust_remote_code, emit=emit)

    def train(self, bench: Bench, order: TrainingOrder) -> tuple[TrainResult, bool]:
        """Train with our own loop."""
        from lorasdk.workbench.bench import Workbench
        from lorasdk.workbench.training_run import TrainingRun

        assert isinstance(bench, Workbench)
        run = TrainingRun(bench, order.run_dir, order.emit, order.stop, order.began, order.allow_changes)
        return run.run(order.splits), run.base_changed

    def export(self, bench: Bench, order: ExportOrder) -> ExportResult:
        """Write, read back, compare."""
        from lorasdk.workbench.bench import Workbench
        from lorasdk.workbench.export_run import ExportRun

        assert isinstance(bench, Workbench)
        return ExportRun(bench, order).run()


@contextmanager
def _quietly_imported() -> Iterator[None]:
    before = os.environ.get(COMPILER_CACHE)
    from lorasdk.basemodel.quiet import quiet

    with quiet():
        try:
            from lorasdk.basemodel.bitsandbytes_import import import_bitsandbytes

            import_bitsandbytes()
            yield
        finally:
            if before is None:
                os.environ.pop(COMPILER_CACHE, None)
