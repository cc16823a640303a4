"""Lets one training at a time write into a run's folder: ``lock.json`` says which process, where, since when.

The file counts, not a lock of the kernel's: a host that forks hands kernel locks on to its children, which then hold
them when the training is long dead. A short kernel lock guards reading and writing the file, and nothing else.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from lorasdk.checkpoints.whole_file import write_whole_json
from lorasdk.errors import Problem, ResourceError
from lorasdk.events import Emit, Notice

LOCK = "lock.json"
GUARD = ".lock-guard"
GUARD_SECONDS = 10.0
"""The guard is held for as long as it takes to read and write a small file."""


class _Holder(BaseModel):
    """One taking of the lock."""

    model_config = ConfigDict(frozen=True)

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    host: str
    started: AwareDatetime
    """When the process started, for people: a clock that is set changes it."""
    birth: str
    """Tells the process from another of the same number."""
    key: str
    """Tells this taking from another of the same process."""

    @classmethod
    def this_process(cls) -> _Holder:
        pid = os.getpid()
        started = datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
        return cls(pid=pid, host=socket.gethostname(), started=started, birth=_birth(pid), key=secrets.token_hex(8))

    @property
    def alive(self) -> bool:
        """Whether the process, one of this host, still runs."""
        try:
            # One that was killed keeps its number until its parent asks what became of it.
            is_zombie = psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
            return not is_zombie and _birth(self.pid) == self.birth
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started:%Y-%m-%d %H:%M:%S %Z}"


@contextmanager
def run_lock(run_dir: Path, *, emit: Emit | None = None) -> Iterator[None]:
    """Hold the lock of a run's folder, which must exist. A lock whose process has ended is taken over.

    Processes are told apart by number and start within one machine; containers that share a folder and a host name but
    not their process numbers are not.

    Args:
        run_dir: the run's folder.
        emit: receives a notice when a lock is taken over.

    Raises:
        ResourceError: somebody holds it, in this process or another, here or on another host; or the disk refuses.
    """
    holder = _Holder.this_process()
    with _guarded(run_dir) as path:
        former = _read(path)
        if former is not None and (former.host != holder.host or former.alive):
            raise ResourceError(_locked(path, former, here=former.host == holder.host))
        write_whole_json(path, holder.model_dump(mode="json"))
    try:
        if former is not None and emit is not None:
            emit(Notice("run.lock-reclaimed", f"the lock of a process that has ended is taken over: {former}"))
        yield
    finally:
        # A child that the host forked meanwhile comes here too, and must not give back what is not its own.
        if os.getpid() == holder.pid:
            _give_back(run_dir, holder)


def _give_back(run_dir: Path, holder: _Holder) -> None:
    # What went wrong in the run matters more; and a lock that stays is taken over once this process has ended.
    with suppress(ResourceError), _guarded(run_dir) as path:
        if _read(path) == holder:
            path.unlink()


@contextmanager
def _guarded(run_dir: Path) -> Iterator[Path]:
    """Give the path of ``lock.json``, which nobody else reads or writes meanwhile."""
    from filelock import FileLock

    try:
        run_dir.stat()  # a folder that was deleted is not made again
        with FileLock(run_dir / GUARD, timeout=GUARD_SECONDS):
            yield run_dir / LOCK
    except OSError as error:
        raise ResourceError(
            Problem(
                code="run.lock",
                message=f"the run's lock cannot be taken: {error}",
                place=str(run_dir.absolute()),
                fix="see that the folder exists and can be written to",
            )
        ) from error


def _read(path: Path) -> _Holder | None:
    try:
        return _Holder.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ResourceError(
            Problem(
                code="run.lock-damaged",
                message="the run's lock is damaged, so that nobody knows who holds it",
                place=str(path.absolute()),
                fix="delete the file if no training writes into this folder",
            )
        ) from error


def _locked(path: Path, former: _Holder, *, here: bool) -> Problem:
    waiting = "wait until it has finished, stop it, or train into another run folder"
    return Problem(
        code="run.locked",
        message="another training writes into this run's folder",
        place=str(path.absolute()),
        found=str(former),
        allowed="one training at a time",
        fix=waiting if here else f"{waiting}; if that process has ended, delete {path.absolute()}",
    )


def _birth(pid: int) -> str:
    """What tells a process from another of the same number, whatever the clock is set to meanwhile.

    On Linux a process's start counts from the machine's, and psutil adds a time of day to it that changes with the
    clock; so the machine's start is named and the count taken as it is.
    """
    if sys.platform != "linux":
        return str(psutil.Process(pid).create_time())
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    ticks = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19]
    return f"{boot}/{ticks.decode()}"
