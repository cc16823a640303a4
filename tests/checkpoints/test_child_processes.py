"""What only a process of its own can be given: limits, another user."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tiny_checkpoints import a_store, is_whole, names, save

HERE = str(Path(__file__).parent)
PROGRAM = """
import os, resource, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from tiny_checkpoints import a_store, fill
import numpy as np
from safetensors.numpy import save_file
from lorasdk import ResourceError
run_dir, events = Path(sys.argv[1]), []
{restrict}
try:
    a_store(run_dir, events=events).save(8, {fill}, {{}})
except ResourceError as error:
    sys.stdout.write(str(error))
sys.exit(len(events))
"""


def fail_to_save(run_dir: Path, restrict: str, fill: str = "fill(8)") -> str:
    """Give the error of a process that is restricted before it saves, and must not announce a checkpoint."""
    program = PROGRAM.format(here=HERE, restrict=restrict, fill=fill)
    done = subprocess.run([sys.executable, "-c", program, str(run_dir)], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def left_as_it_was(run_dir: Path) -> bool:
    newest = a_store(run_dir).newest()
    return names(run_dir) == ["step-00000004"] and newest is not None and is_whole(newest)


WRITERS = {
    "python": "lambda folder: (folder / 'weights').write_bytes(bytes(10_000)) and None",
    "safetensors": "lambda folder: save_file({'w': np.zeros(10_000, np.uint8)}, folder / 'weights')",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_X62_a_file_that_may_not_grow_is_an_error_with_bytes_and_leaves_nothing(tmp_path: Path, writer: str):
    save(tmp_path, 4)
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))"
    shown = fail_to_save(tmp_path, limit, WRITERS[writer])
    assert "the checkpoint of step 8 could not be written" in shown
    assert "File too large" in shown
    assert "bytes free" in shown
    assert left_as_it_was(tmp_path)


DROP_RIGHTS = "os.geteuid() or os.seteuid(65534)"
REVOKE = """
def revoked(folder):
    fill(8)(folder)
    (run_dir / "checkpoints").chmod(0o500)
    os.geteuid() or os.seteuid(65534)
"""


@pytest.fixture
def open_dir():
    """A folder that another user may read: pytest's own may not be entered."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        for folder in (path, *(each for each in path.rglob("*") if each.is_dir())):
            folder.chmod(0o755)


def test_X63_a_folder_that_may_only_be_read_is_an_error_and_nothing_is_announced(open_dir: Path):
    save(open_dir, 4)
    (open_dir / "checkpoints").chmod(0o555)
    assert "Permission denied" in fail_to_save(open_dir, DROP_RIGHTS)
    assert left_as_it_was(open_dir)


def test_X63_rights_revoked_during_a_save_are_an_error_and_nothing_is_announced(open_dir: Path):
    save(open_dir, 4)
    assert "Permission denied" in fail_to_save(open_dir, REVOKE, "revoked")
    (open_dir / "checkpoints").chmod(0o755)
    a_store(open_dir).clean()
    assert left_as_it_was(open_dir)
