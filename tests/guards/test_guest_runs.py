"""The guest's oath for runs that go on beside the host's own work."""

import gc
import os
from pathlib import Path

import pytest
from host_state import changes, host_state
from tiny_training import tiny_tuner

from lorasdk.errors import LorasdkError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for what is left in /proc")

FAILING = {"train": [{"instruction": "a", "output": ""}]}


def descriptors() -> list[str]:
    gc.collect()
    return sorted(map(str, Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_X83_runs_and_failed_runs_leave_the_host_as_it_was(tiny_model_dir, tmp_path, monkeypatch, capfd, isolation):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    good, bad = tiny_tuner(tiny_model_dir, tmp_path), tiny_tuner(tiny_model_dir, tmp_path, rows=FAILING)
    good.train()  # what the first import of the libraries does is audited in a process of its own
    good.close()
    before, mine = host_state(), descriptors()
    assert good.start(isolation=isolation).result(100).stopped == "finished"
    with pytest.raises(LorasdkError):
        bad.start(isolation=isolation).result(100)
    assert changes(before) == []
    assert capfd.readouterr() == ("", "")
    good.close()
    assert descriptors() == mine
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
