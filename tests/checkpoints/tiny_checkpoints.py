"""Checkpoints of a few bytes, for processes that are killed and for those that look at what is left."""

from collections.abc import Callable
from pathlib import Path

from lorasdk.checkpoints import Checkpoint, CheckpointStore, fault_points
from lorasdk.checkpoints.layout import step_path
from lorasdk.events import Event, Notice

NAMES = ("adapter.safetensors", "optimizer.safetensors", "scheduler.json", "rng.json", "state/position.json")
ALL_NAMES = (*NAMES, "manifest.json")


def content(name: str, step: int) -> bytes:
    return f"{name} after {step} steps".encode() * 3


def fill(step: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in NAMES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content(name, step))
            fault_points.reach("file-written")

    return write


def a_store(run_dir: Path, *, keep: int = 2, events: list[Event] | None = None) -> CheckpointStore:
    return CheckpointStore(run_dir, keep=keep, emit=(events if events is not None else []).append)


def save(run_dir: Path, *steps: int, keep: int = 2, events: list[Event] | None = None) -> None:
    for step in steps:
        a_store(run_dir, keep=keep, events=events).save(step, fill(step), {"position": step})


def is_whole(checkpoint: Checkpoint) -> bool:
    """Byte for byte what was saved, facts included, whatever the store thinks of it."""
    files = {name: (checkpoint.path / name).read_bytes() for name in NAMES}
    return files == {name: content(name, checkpoint.step) for name in NAMES} and checkpoint.facts == {
        "position": checkpoint.step
    }


def names(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / "checkpoints").iterdir())


def checkpoint(run_dir: Path, step: int) -> Path:
    return step_path(run_dir / "checkpoints", step)


def newest_step(run_dir: Path, events: list[Event] | None = None) -> int:
    """Step of the newest checkpoint, which must be whole whatever the store thinks of it."""
    found = a_store(run_dir, events=events).newest()
    assert found is not None
    assert is_whole(found)
    return found.step


def codes(events: list[Event]) -> list[str]:
    return [event.code for event in events if isinstance(event, Notice)]
