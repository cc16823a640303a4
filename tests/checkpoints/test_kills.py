"""Real kills: what a process leaves that gets SIGKILL at one of the instants of a save."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import a_store, is_whole, names, save

from lorasdk.checkpoints.fault_points import FAULT_POINTS

SCRIPT = Path(__file__).with_name("kill_at_every_point.py")
STEPS = {"third": (8, 12), "damaged": (4, 8)}
"""The last whole checkpoint before the save, and what is saved."""


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of each process that was killed: scenario, fault point, run folder, and whether the rename had been made."""
    command = [sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("kills"))]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_X58_X59_a_kill_at_any_point_leaves_the_old_or_the_new_checkpoint_whole(point: str, kills):
    here = [kill for kill in kills if kill["point"] == point]
    assert here
    for kill in here:
        run_dir, (old, new) = Path(kill["run_dir"]), STEPS[kill["scenario"]]
        store = a_store(run_dir)
        store.clean()
        newest = store.newest()
        assert newest is not None
        assert newest.step == (new if kill["in_place"] else old)
        assert is_whole(newest)
        assert [name for name in names(run_dir) if name.startswith(".")] == []
        save(run_dir, new)
        assert [name for name in names(run_dir) if name != "damaged"] == [f"step-{old:08d}", f"step-{new:08d}"]
