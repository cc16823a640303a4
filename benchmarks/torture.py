"""Kills trainings and lets them go on: does every one of them end with the bits of an undisturbed run?

Each trial is a process that is killed (SIGKILL) once: at a random instant, or at one of the named instants of a write
to disk. It is then started again, as a supervisor would, until it ends; weights, moments and history are compared with
those of a run that nobody disturbed. One process imports the libraries and forks the others, which makes a trial cheap.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lorasdk.checkpoints import fault_points

ROWS = [
    {
        "instruction": f"Answer with yes or no, and nothing else: is {i} an even number?",
        "output": "no" if i % 2 else "yes, yes",
    }
    for i in range(11)
]
RECIPE: dict[str, Any] = {
    "name": "torture",
    "data": {"train": "rows.jsonl", "validation": {"rows": 3}},
    "lora": {"rank": 4, "dropout": 0.2},
    # Packs of several sizes, accumulation, ragged last batches, validation and early stopping are all in play.
    "training": {
        "max_steps": 12,
        "batch_size": 3,
        "micro_batch": 2,
        "learning_rate": 1e-2,
        "eval_every_steps": 3,
        "keep": "best",
        "early_stopping": {"patience": 4, "min_delta": 1e-9},
        "checkpoint_every_steps": 2,
    },
}
MOST_STARTS = 5
"""Of one trial: one is killed, the next one ends."""


@dataclass(frozen=True)
class Ending:
    """What must be the same, to the bit."""

    adapter: str
    """SHA-256 of the adapter's weights."""
    optimizer: str
    """SHA-256 of the optimizer's state after the last step."""
    course: str
    """SHA-256 of the loss history and the validations."""


@dataclass(frozen=True)
class Trial:
    """One training that was killed."""

    where: str
    """``random instant``, or the name of a fault point; ``nowhere`` when it ended before it could be killed."""
    same: bool
    """Whether it ended with the bits of the undisturbed run."""
    starts: int


def torture(
    kills: int, folder: Path, *, seed: int = 0, tell: Callable[[str], None] = lambda _line: None
) -> list[Trial]:
    """Kill that many trainings.

    Args:
        kills: how many; trials that end before they can be killed do not count.
        folder: for models and runs; what is in it is deleted.
        seed: of the instants.
        tell: hears one line for each trial.
    """
    rng = random.Random(seed)
    recipe = _prepare(folder)
    _import_everything()
    counter = _Counter(folder / "reached.json")
    _finish(_start(recipe, folder / "warm", counter))  # also fills the caches that all others find filled
    instants = counter.instants()
    began = time.monotonic()
    _finish(_start(recipe, folder / "undisturbed"))
    duration = time.monotonic() - began
    (expected,) = endings(folder / "undisturbed")
    trials: list[Trial] = []
    while sum(trial.where != "nowhere" for trial in trials) < kills:
        output, number = folder / f"trial-{len(trials)}", len(trials) // 2
        if number % len(instants) == 0:
            rng.shuffle(instants)
        killer = None if len(trials) % 2 else _Killer(*instants[number % len(instants)])
        trials.append(_trial(recipe, output, killer, rng.uniform(0, duration), expected))
        tell(f"{len(trials)}: killed at {trials[-1].where}: {'same bits' if trials[-1].same else 'OTHER BITS'}")
        shutil.rmtree(output)
    return trials


def endings(output: Path) -> set[Ending]:
    """What the runs in `output` ended with: two, if one was killed when it had ended and before it could say so."""
    return {_ending(run_dir) for run_dir in (output / "torture").iterdir()}


def _ending(run_dir: Path) -> Ending:
    last = max((run_dir / "checkpoints").glob("step-*"))
    course = json.loads((last / "state.json").read_text("utf-8"))["course"]
    compared = json.dumps([course["history"], course["validations"], course["best_step"]]).encode()
    files = (run_dir / "adapter" / "adapter_model.safetensors", last / "optimizer.safetensors")
    return Ending(*(hashlib.sha256(data).hexdigest() for data in (*(f.read_bytes() for f in files), compared)))


def table(trials: list[Trial]) -> Table:
    """Trials by where they were killed."""
    shown = Table("killed at", "trials", "same bits", title="Trainings that were killed and went on")
    counts = Counter(trial.where for trial in trials)
    for where, count in sorted(counts.items()):
        shown.add_row(where, str(count), str(sum(trial.same for trial in trials if trial.where == where)))
    killed = [trial for trial in trials if trial.where != "nowhere"]
    shown.add_section()
    shown.add_row("all kills", str(len(killed)), str(sum(trial.same for trial in killed)))
    return shown


def _trial(recipe: dict[str, Any], output: Path, killer: _Killer | None, delay: float, expected: Ending) -> Trial:
    where = "nowhere"
    for starts in range(1, MOST_STARTS + 1):
        child = _start(recipe, output, killer if starts == 1 else None)
        if starts == 1 and killer is None:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return Trial(where, endings(output) == {expected}, starts)
        if code != -signal.SIGKILL:
            return Trial(where, same=False, starts=starts)
        where = killer.point if killer else "random instant"
    return Trial(where, same=False, starts=MOST_STARTS)


def _start(recipe: dict[str, Any], output: Path, watcher: _Killer | _Counter | None = None) -> int:
    """Fork a process that trains into `output`, going on where another one stopped; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if watcher is not None:
            fault_points.reach = watcher
        _train({**recipe, "output_dir": str(output)})
        if isinstance(watcher, _Counter):
            watcher.path.write_text(json.dumps(watcher.reached), "utf-8")
        code = 0
    except BaseException as error:  # noqa: BLE001 - told and turned into an exit code
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)  # not back into the parent's code


@dataclass
class _Killer:
    """Ends this process when a fault point is reached for the n-th time."""

    point: str
    times: int

    def __call__(self, point: str) -> None:
        self.times -= point == self.point
        if self.times == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Counter:
    """Counts how often each fault point is reached, in a process that writes it down at its end."""

    path: Path
    reached: Counter[str] = field(default_factory=Counter)

    def __call__(self, point: str) -> None:
        self.reached[point] += 1

    def instants(self) -> list[tuple[str, int]]:
        """Each fault point with each number of times that it was reached."""
        counts = json.loads(self.path.read_text("utf-8"))
        return [(point, times) for point, count in counts.items() for times in range(1, count + 1)]


def _finish(child: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise RuntimeError(f"a training that nobody disturbed ended with {code}")


def _train(recipe: dict[str, Any]) -> None:
    from lorasdk import FineTuner

    FineTuner.from_recipe(recipe, discover=False).train(resume="auto")


def _prepare(folder: Path) -> dict[str, Any]:
    from tests.tiny_model import write_tiny_model

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    (folder / "model").mkdir()
    model = write_tiny_model(folder / "model")
    data = {**RECIPE["data"], "train": str(folder / "rows.jsonl")}
    return {**RECIPE, "data": data, "base_model": {"source": str(model), "dtype": "float32"}}


def _import_everything() -> None:
    """Import what a training needs, and compute nothing: autograd's threads do not survive a fork."""
    import peft.tuners.lora.layer  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    import lorasdk.workbench.training_run  # noqa: F401


def main(kills: int, folder: Path) -> bool:
    """Torture and print; whether all ended with the same bits."""
    console = Console()
    trials = torture(kills, folder, tell=Console(stderr=True).print)
    console.print(table(trials))
    same, killed = (sum(t.where != "nowhere" and (t.same or not only) for t in trials) for only in (True, False))
    console.print(f"{same} of {killed} bit-identical")
    return same == killed
