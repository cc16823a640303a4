"""What can be wrong with runs elsewhere, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lorasdk.errors import Problem


def killed(run_dir: Path | None, step: int) -> Problem:
    """The process got SIGKILL."""
    return Problem(
        code="run.killed",
        message="the run's process was killed from outside; the system does that when memory runs out",
        place=str(run_dir or ""),
        found=f"SIGKILL after step {step}" if step else "SIGKILL before the first step",
        fix="free memory, or lower training.pack_tokens, training.micro_batch or data.max_tokens; "
        "resume='auto' goes on from the last checkpoint",
    )


def crashed(how: str, output: str, run_dir: Path | None) -> Problem:
    """The process ended without a word."""
    return Problem(
        code="run.crashed",
        message=f"the run's process ended with {how} before it gave a result",
        place=str(run_dir or ""),
        found=f"the end of what it wrote:\n{output}" if output else "it wrote nothing",
        fix="isolation='thread' shows the failure where it happens; resume='auto' goes on from the last checkpoint",
    )


def not_started(why: object) -> Problem:
    """The system gives no process."""
    return Problem(
        code="run.not-started",
        message=f"no process could be started for the run: {why}",
        fix="free processes, files or memory, or use isolation='thread'",
    )


def no_processes_here(found: str) -> Problem:
    """A process of its own needs what this platform does not have."""
    return Problem(
        code="run.no-processes-here",
        message="a run cannot have a process of its own here",
        field="isolation",
        found=found,
        allowed="Python's own program, on Linux or macOS",
        fix="use isolation='thread'",
    )


def unknown_isolation(found: object) -> Problem:
    """Neither thread nor process."""
    return Problem(
        code="run.unknown-isolation",
        message="there is no such isolation",
        field="isolation",
        found=repr(found),
        allowed="'thread', 'process'",
        fix="choose one of them",
    )


def plugins_cannot_cross(plugins: Iterable[object]) -> Problem:
    """Objects live in one process."""
    return Problem(
        code="run.plugin-cannot-cross",
        message="plugins that are objects of this program do not exist in another process",
        field="plugins",
        found=", ".join(repr(plugin) for plugin in plugins),
        allowed="installed packages, modules that can be imported by their names, and functions of such modules",
        fix="install the plugin as a package, hand over its module, or use isolation='thread'",
    )


def fake_cannot_cross() -> Problem:
    """A fake engine lives in one process."""
    return Problem(
        code="run.fake-cannot-cross",
        message="a tuner with a fake engine cannot train in another process, which would have the real one",
        field="isolation",
        found="'process'",
        allowed="'thread'",
        fix="use isolation='thread' in tests with a fake engine",
    )


def row_cannot_cross(split: str, number: int, error: Exception) -> Problem:
    """A value that is no data."""
    return Problem(
        code="run.row-cannot-cross",
        message=f"a row handed over in memory cannot be written as JSON: {error}",
        place=f"{split} rows row {number}",
        field=f"data.{split}",
        allowed="text, numbers, true, false, None, and lists and mappings of them",
        fix="convert the value, or use isolation='thread'",
    )
