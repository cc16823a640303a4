"""The checkpoints of one training: where it goes on from, whether it may, and what it leaves behind.

Heavy: imported when work begins.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from lorasdk.artifacts.adapter_folder import library_versions
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.checkpoints import Checkpoint, CheckpointStore
from lorasdk.data.examples import Examples
from lorasdk.data.prepare import PreparedSplit
from lorasdk.engine.snapshot import Snapshot, malformed
from lorasdk.errors import CheckpointError, Problem
from lorasdk.events import Emit, Notice
from lorasdk.recipe import Recipe
from lorasdk.runs.identity import MACHINE, Admission, Identity, admit, recipe_identity

ROWS = ("data.train", "data.validation")
"""Parts of an identity that are known when the rows are."""


@dataclass
class RunCheckpoints:
    """What was found in a run's folder, and what is added to it."""

    store: CheckpointStore
    found: Checkpoint | None
    """The newest whole one."""
    emit: Emit
    identity: Identity = field(default_factory=dict)
    admission: Admission = field(default_factory=Admission)
    last: Snapshot | None = None
    """The newest state of this training that was to be kept."""

    @classmethod
    def open(cls, run_dir: Path, *, keep: int, emit: Emit) -> RunCheckpoints:
        """Tidy up after a killed process and look for a checkpoint.

        Raises:
            CheckpointError: there are some, and all are damaged; or the newest was not written by a training.
            ResourceError: the folder cannot be read.
        """
        store = CheckpointStore(run_dir, keep=keep, emit=emit)
        store.clean()
        found = store.newest()
        if found is not None:
            _require_facts(found)
        return cls(store, found, emit)

    @property
    def step(self) -> int:
        """Steps taken by the checkpoint that was found."""
        return 0 if self.found is None else self.found.step

    @property
    def resumed_at(self) -> tuple[int, ...]:
        """Steps at which the run was taken up again, this time included."""
        return () if self.found is None else (*self.found.facts["resumed_at"], self.found.step)

    @property
    def changes(self) -> tuple[str, ...]:
        """What ever differed when the run was taken up again."""
        before = () if self.found is None else self.found.facts["changes"]
        return tuple(dict.fromkeys([*before, *self.admission.allowed, *self.admission.machine]))

    def start(self, identity: Identity, *, allow: tuple[str, ...], total_steps: int | None) -> Snapshot | None:
        """The state to go on from; None to begin.

        Args:
            identity: of this training; without names that begin with ``data.train``, the rows are not known yet.
            allow: names whose change is wanted.
            total_steps: of the whole training; None while the rows are not known.

        Raises:
            CheckpointError: what decides the bits has changed, the checkpoint has more steps than are wanted, or it is
                not what a training writes.
        """
        self.identity = identity
        if self.found is None:
            return None
        before = self.found.facts["identity"]
        if total_steps is None:
            rows = {key: value for key, value in before.items() if key.startswith(ROWS)}
            identity = {**identity, **rows}
        self.admission = admit(before, identity, allow=allow, checkpoint=self.found.path)
        if total_steps is not None and self.found.step > total_steps:
            raise CheckpointError(_beyond_the_end(self.found, total_steps))
        if self.admission.machine:
            differing = ", ".join(self.admission.machine)
            self.emit(Notice("checkpoint.other-machine", f"the result may differ in its last bits: {differing}"))
        snapshot = Snapshot.read(self.found.path)
        if snapshot.step != self.found.step:
            raise CheckpointError(malformed(self.found.path, f"its state is that of step {snapshot.step}"))
        return snapshot

    def keep(self, snapshot: Snapshot) -> None:
        """Write a checkpoint.

        Raises:
            ResourceError: the disk refuses.
        """
        self.last = snapshot
        facts = {"identity": dict(self.identity), "changes": self.changes, "resumed_at": self.resumed_at}
        self.store.save(snapshot.step, snapshot.write, facts)


def identity_of(
    recipe: Recipe,
    base: LoadedBase,
    *,
    template_sha256: str,
    splits: Mapping[str, Examples],
    prepared: Mapping[str, PreparedSplit],
) -> dict[str, Any]:
    """All that decides the bits of a training."""
    device = base.model.device
    machine = {
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
    }
    identity: dict[str, Any] = recipe_identity(recipe)
    for name in ("train", "validation"):
        if name in prepared:
            identity[f"data.{name}"] = splits[name].sha256
            identity[f"data.{name}.encoded"] = prepared[name].encoded_sha256
    return {
        **identity,
        "base_model.fingerprint": base.fingerprint,
        "base_model.dtype": base.device.dtype,
        "base_model.device": device.type,
        "base_model.template": template_sha256,
        **{f"versions.{name}": version for name, version in library_versions().items()},
        **{f"{MACHINE}.{name}": value for name, value in machine.items()},
    }


class _Facts(BaseModel):
    """What `RunCheckpoints.keep` hands over to be kept beside a snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: dict[str, Any]
    changes: list[StrictStr]
    resumed_at: list[StrictInt]


def _require_facts(found: Checkpoint) -> None:
    try:
        _Facts.model_validate(found.facts)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        raise CheckpointError(malformed(found.path / "manifest.json", why)) from error


def _beyond_the_end(found: Checkpoint, total_steps: int) -> Problem:
    return Problem(
        code="checkpoint.beyond-end",
        message=f"the checkpoint has taken {found.step} steps, and the training shall have {total_steps}",
        place=str(found.path),
        field="training.max_steps",
        found=str(total_steps),
        allowed=f"{found.step} or more",
        fix="raise training.max_steps or training.epochs, or begin anew with resume='never'",
    )
