import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorasdk import Notice, ResourceError
from lorasdk.errors import LorasdkError
from lorasdk.runs import lock
from lorasdk.runs.lock import LOCK

MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(run_dir: Path) -> ResourceError:
    with pytest.raises(ResourceError) as caught, lock.run_lock(run_dir):
        pass
    return caught.value


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


HOLD = """
import sys
from pathlib import Path
from lorasdk.runs.lock import run_lock
with run_lock(Path(sys.argv[1])):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def rewrite(run_dir: Path, **changes: object) -> None:
    """Take the lock, and leave it behind with other facts in it."""
    with lock.run_lock(run_dir):
        held = json.loads((run_dir / LOCK).read_text())
    (run_dir / LOCK).write_text(json.dumps({**held, **changes}))


def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_lock_is_held_in_the_block_and_given_back_after_it(tmp_path: Path):
    with lock.run_lock(tmp_path):
        held = json.loads((tmp_path / LOCK).read_text())
    assert held["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_a_lock_is_given_back_when_the_block_raises(tmp_path: Path):
    with pytest.raises(KeyError), lock.run_lock(tmp_path):
        raise KeyError
    assert not (tmp_path / LOCK).exists()


def test_X77_a_second_taker_in_the_same_process_is_refused(tmp_path: Path):
    with lock.run_lock(tmp_path):
        assert refusal(tmp_path).code == "run.locked"
        assert (tmp_path / LOCK).exists()


def test_X77_another_process_is_named_by_number_host_and_start_and_taken_over_once_killed(tmp_path: Path):
    with python(HOLD, tmp_path) as holder:
        assert holder.stdout.readline() == "held\n"
        problem = refusal(tmp_path).problems[0]
        held = json.loads((tmp_path / LOCK).read_text())
        assert problem.found.startswith(f"process {holder.pid} on {held['host']}, started 20")
        assert "delete" not in problem.fix
        holder.send_signal(signal.SIGKILL)
        wait_until_ended(holder.pid)  # and stays a zombie, since nobody has asked what became of it
        events: list = []
        with lock.run_lock(tmp_path, emit=events.append):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert [(type(event), event.code) for event in events] == [(Notice, "run.lock-reclaimed")]
    assert str(holder.pid) in events[0].message


def wait_until_ended(pid: int) -> None:
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        pass


def test_X77_the_lock_of_a_number_that_another_process_has_now_is_taken_over(tmp_path: Path):
    rewrite(tmp_path, birth="another boot/12")
    with lock.run_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_X77_X85_a_clock_that_is_set_does_not_make_a_holder_another_process(tmp_path: Path, monkeypatch):
    with lock.run_lock(tmp_path):
        now = psutil.boot_time()
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: now - 86_400.0)
        assert refusal(tmp_path).code == "run.locked"


def test_X77_a_lock_of_another_host_is_refused_with_what_to_delete(tmp_path: Path):
    rewrite(tmp_path, host="elsewhere", pid=dead_pid())
    problem = refusal(tmp_path).problems[0]
    assert "elsewhere" in problem.found
    assert f"delete {(tmp_path / LOCK).absolute()}" in problem.fix


def test_a_lock_that_somebody_else_holds_now_is_not_given_back(tmp_path: Path):
    with lock.run_lock(tmp_path):
        held = json.loads((tmp_path / LOCK).read_text())
        (tmp_path / LOCK).write_text(json.dumps({**held, "key": "of another taking"}))
    assert (tmp_path / LOCK).exists()


FORK = """
import os, sys
from pathlib import Path
from lorasdk.runs.lock import LOCK, run_lock
from lorasdk import ResourceError
lock = Path(sys.argv[1]) / LOCK
try:
    with run_lock(lock.parent):
        before = lock.read_text()
        child = os.fork()
        if child == 0:
            try:
                with run_lock(lock.parent):
                    os._exit(3)
            except ResourceError:
                sys.exit(0)  # through the outer block, as a host's worker would
        assert os.waitpid(child, 0)[1] == 0
        assert lock.read_text() == before
finally:
    sys.stdout.write("done")
assert not lock.exists()
"""


def test_X77_a_forked_child_neither_has_the_lock_nor_gives_it_back(tmp_path: Path):
    with python(FORK, tmp_path) as parent:
        parent.communicate()
    assert parent.returncode == 0


ORPHAN = """
import os, sys
from pathlib import Path
from lorasdk.runs.lock import run_lock
with run_lock(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    os.close(1)
    os.kill(os.getpid(), 9)
"""


def test_X77_children_that_outlive_a_killed_holder_do_not_keep_the_lock(tmp_path: Path):
    with python(ORPHAN, tmp_path) as holder:
        wait_until_ended(holder.pid)
        with lock.run_lock(tmp_path):
            pass


RACE = """
import sys
from pathlib import Path
from lorasdk import ResourceError
from lorasdk.runs.lock import run_lock
run_dir = Path(sys.argv[1])
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
try:
    with run_lock(run_dir):
        sys.stdout.write("won\\n")
        sys.stdout.flush()
        sys.stdin.read()
except ResourceError as error:
    sys.stdout.write(error.code + "\\n")
"""


def test_X77_of_many_that_take_over_a_dead_lock_at_once_one_wins(tmp_path: Path):
    rewrite(tmp_path, pid=dead_pid())
    takers = [python(RACE, tmp_path) for _ in range(4)]
    for taker in takers:
        taker.stdout.readline()
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    said = sorted(taker.stdout.readline().strip() for taker in takers)
    for taker in takers:
        taker.communicate()
    assert said == ["run.locked"] * 3 + ["won"]


def test_X77_of_many_threads_one_wins(tmp_path: Path):
    rewrite(tmp_path, pid=dead_pid())
    start, end, outcomes = threading.Barrier(6), threading.Barrier(6), []

    def take() -> None:
        start.wait()
        try:
            with lock.run_lock(tmp_path):
                outcomes.append("won")
                end.wait()
        except ResourceError as error:
            outcomes.append(error.code)
            end.wait()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["run.locked"] * 5 + ["won"]


def test_a_folder_that_is_gone_is_an_error_and_is_not_made(tmp_path: Path):
    assert refusal(tmp_path / "gone").code == "run.lock"
    assert list(tmp_path.iterdir()) == []


def test_X64_a_folder_deleted_under_the_lock_is_not_made_again(tmp_path: Path):
    (tmp_path / "run").mkdir()
    with lock.run_lock(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


@MANY
@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["pid", "host", "started", "birth", "key"]),
        st.integers() | st.text() | st.just(1) | st.just("2026-01-01T00:00:00Z") | st.floats() | st.none(),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_as_a_lock_are_an_error_of_ours(tmp_path: Path, text: bytes):
    (tmp_path / LOCK).write_bytes(text)
    with pytest.raises(LorasdkError), lock.run_lock(tmp_path):
        pass
    assert (tmp_path / LOCK).read_bytes() == text
