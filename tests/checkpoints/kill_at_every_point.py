"""A process of its own that forks a child for every fault point a save reaches, and kills the child there."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tiny_checkpoints import save

from lorasdk.checkpoints import fault_points


def third_save(run_dir: Path) -> None:
    save(run_dir, 12)


def save_over_a_damaged_one(run_dir: Path) -> None:
    save(run_dir, 8)


SCENARIOS: dict[str, Callable[[Path], None]] = {"third": third_save, "damaged": save_over_a_damaged_one}


def prepare(run_dir: Path, scenario: str) -> None:
    run_dir.mkdir()
    save(run_dir, 4, 8)
    if scenario == "damaged":
        (run_dir / "checkpoints" / "step-00000008" / "rng.json").write_bytes(b"")


def points_reached(run_dir: Path, scenario: str) -> list[str]:
    prepare(run_dir, scenario)
    reached: list[str] = []
    fault_points.reach, nothing = reached.append, fault_points.reach
    SCENARIOS[scenario](run_dir)
    fault_points.reach = nothing
    return reached


def killed_at(number: int, run_dir: Path, scenario: str) -> bool:
    """Fork a child that dies at the `number`-th point it reaches."""
    prepare(run_dir, scenario)
    child = os.fork()
    if child == 0:
        left = [number]

        def reach(_point: str) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        fault_points.reach = reach
        SCENARIOS[scenario](run_dir)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(root: Path) -> None:
    kills = []
    for scenario in SCENARIOS:
        points = points_reached(root / scenario, scenario)
        for number, point in enumerate(points):
            run_dir = root / f"{scenario}-{number:02d}"
            assert killed_at(number, run_dir, scenario)
            in_place = "after-rename" in points[: number + 1]
            kills.append({"scenario": scenario, "point": point, "run_dir": str(run_dir), "in_place": in_place})
    sys.stdout.write(json.dumps(kills))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
