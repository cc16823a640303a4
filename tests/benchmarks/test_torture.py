"""The promise behind resuming: a run that is killed anywhere goes on to the bits of one that nobody disturbed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KILLS = 50


def test_X58_fifty_killed_trainings_end_with_the_bits_of_an_undisturbed_one(tmp_path: Path):
    # A process of its own: it forks, which a process that has computed with torch must not.
    command = [sys.executable, "-m", "benchmarks", "torture", "--kills", str(KILLS), "--work-dir", str(tmp_path)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert f"{KILLS} of {KILLS} bit-identical" in done.stdout, done.stdout + done.stderr
