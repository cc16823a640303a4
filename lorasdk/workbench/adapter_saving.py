"""Saves the adapter of a run: in the run's folder, or elsewhere when that has vanished or is full. Heavy."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lorasdk.artifacts.adapter_folder import check_weights, save_adapter
from lorasdk.artifacts.adapter_proof import prove_adapter, read_back_beside, read_back_on_its_own, shares_base
from lorasdk.artifacts.golden import golden_prompts
from lorasdk.artifacts.passport import Passport, SplitPart, read_passport
from lorasdk.artifacts.proof import Proof, not_proved
from lorasdk.artifacts.tolerances import adapter_tolerance
from lorasdk.basemodel.loading import LoadedBase, load_base_model
from lorasdk.basemodel.quiet import quiet
from lorasdk.contracts import Example
from lorasdk.engine.course import Course
from lorasdk.engine.task import Trained
from lorasdk.errors import AdapterError, LorasdkError, Problem, ResourceError
from lorasdk.events import AdapterAttached, Emit, Notice
from lorasdk.runs.folder import ADAPTER
from lorasdk.workbench.bench import Workbench
from lorasdk.workbench.passport_making import make_passport
from lorasdk.workbench.run_checkpoints import RunCheckpoints

if TYPE_CHECKING:
    from peft import PeftModel

STOPPED = "the run was stopped"
"""Why an adapter was not compared."""


@dataclass(frozen=True)
class AdapterSaving:
    """What an adapter's passport says of a run, and where the adapter goes."""

    bench: Workbench
    run_dir: Path
    model: PeftModel
    attached: AdapterAttached
    initial: Path | None
    """The adapter as it was initialised, for initialisations that change the base weights."""
    data: Mapping[str, SplitPart]
    test_rows: Sequence[Example]
    """Some of them are what the saved adapter is compared on; empty when there are none."""
    checkpoints: RunCheckpoints
    began: float
    """By ``time.perf_counter``."""
    emit: Emit

    def save(self, trained: Trained) -> Path:
        """Write the adapter's folder; one of the same run that was stopped earlier is kept under another name.

        Raises:
            ResourceError: the disk refuses.
        """
        folder = self.run_dir / ADAPTER
        if not self.run_dir.is_dir():  # not made again: whoever deleted it would not look there
            raise ResourceError(_vanished(self.run_dir))
        if not _is_there_already(folder, trained):
            _set_aside(folder)
            self._write(folder, trained)
        if self.initial is not None:
            shutil.rmtree(self.initial.parent, ignore_errors=True)
        return folder

    @contextmanager
    def rescue(self) -> Iterator[None]:
        """When the disk refuses something inside, save what was learnt so far in the folder for temporary files.

        Raises:
            ResourceError: the one from inside; it also names the folder, if there was room for it.
        """
        try:
            yield
        except ResourceError as error:
            last = self.checkpoints.last
            if last is None or self.run_dir.is_dir():
                raise
            folder = Path(tempfile.mkdtemp(prefix="lorasdk-rescued-")) / ADAPTER
            course = Course.of(last.facts["course"])
            # The model may have gone on since: what is saved must be what the passport says.
            last.put_into(self.model)
            self._write(folder, Trained.of(course, "requested", saved_step=course.best_step or course.step))
            raise ResourceError(*error.problems, _rescued(folder, course.step)) from error

    def _write(self, folder: Path, trained: Trained) -> None:
        def prove(draft: Path) -> Proof:
            # Whoever stops a run waits for it, and what is rescued must be on the disk first of all.
            return not_proved(STOPPED) if trained.stopped == "requested" else self._proof(draft)

        def passport(adapter_sha256: str) -> Passport:
            return make_passport(
                self.bench,
                trained=trained,
                attached=self.attached,
                data=self.data,
                checkpoints=self.checkpoints,
                seconds=time.perf_counter() - self.began,
                adapter_sha256=adapter_sha256,
            )

        save_adapter(
            self.model,
            folder,
            base_name=self.bench.located.identity.removeprefix("hub:"),
            base_vocabulary=self.bench.base_vocabulary,
            passport=passport,
            prove=prove,
            initial=self.initial,
        )

    def _proof(self, draft: Path) -> Proof:
        """Compare what was written with what is in memory; what goes wrong must not cost what was learnt."""
        try:
            proof = prove_saved(self.bench, self.model, draft, self.test_rows)
        except (LorasdkError, MemoryError, torch.OutOfMemoryError) as error:
            proof = not_proved(str(error).partition("\n")[0] or type(error).__name__)
        told = proof.verification
        if told.verdict == "differs":
            how_far = f"{told.largest_difference:.2g} nats, where {told.tolerance:g} would pass"
            self.emit(Notice("adapter.differs", f"read back from the disk, the adapter answers otherwise: {how_far}"))
        elif told.verdict == "not-verified":
            self.emit(Notice("adapter.not-verified", f"the saved adapter was not compared: {told.reason}"))
        return proof


def prove_saved(bench: Workbench, model: PeftModel, folder: Path, test_rows: Sequence[Example]) -> Proof:
    """Read an adapter back from the disk and compare it with the one on `model`.

    Raises:
        AdapterError: what was written cannot be read.
        LorasdkError: the base model has to be loaded once more for it, and cannot.
    """
    assert bench.base is not None
    section = bench.resolved.recipe.base_model

    def load() -> LoadedBase:
        return load_base_model(bench.located, section, trust_remote_code=bench.trust_remote_code)

    beside = shares_base(bench.resolved.recipe.lora)
    again = read_back_beside(model, bench.base, folder) if beside else read_back_on_its_own(load, folder)
    prompts = golden_prompts(bench.encoder, test_rows)
    dtype = bench.base.device.dtype
    with bench.lock, quiet():
        return prove_adapter(
            model, prompts, dtype=dtype, tolerance=adapter_tolerance(dtype, beside=beside), again=again
        )


def _is_there_already(folder: Path, trained: Trained) -> bool:
    """Whether a process wrote this adapter and was killed before it could say so."""
    if trained.stopped == "requested" or not folder.exists():
        return False
    passport = read_passport(folder)
    check_weights(folder, passport)
    return (passport.training.steps, passport.training.stopped) == (trained.steps, trained.stopped)


def _set_aside(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        step = read_passport(folder).training.steps
        target = folder.with_name(f"{folder.name}-stopped-at-{step}")
        if target.exists():  # stopped twice at this step: the bits are the same
            shutil.rmtree(target)
        folder.rename(target)
    except (OSError, AdapterError) as error:
        raise ResourceError(
            Problem(
                code="adapter.in-the-way",
                message=f"the adapter that this run left earlier cannot be moved aside: {error}",
                place=str(folder),
                fix="move the folder away and resume once more",
            )
        ) from error


def _vanished(run_dir: Path) -> Problem:
    return Problem(
        code="run.folder-vanished",
        message="the run's folder was deleted while the run was going on",
        place=str(run_dir),
        fix="leave the folder of a run alone until the run is over",
    )


def _rescued(folder: Path, step: int) -> Problem:
    return Problem(
        code="run.rescued",
        message=f"the run's folder is gone; the adapter as of step {step} was saved elsewhere",
        place=str(folder),
        fix="move this folder to a safe place",
    )
