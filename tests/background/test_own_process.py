import subprocess
import sys

import pytest

from lorasdk.background import own_process
from lorasdk.cli import app

TOUCHED = """
import sys
from lorasdk.background import own_process
real, calls = own_process.ctypes.CDLL, []
class Libc:
    def mallopt(self, name, value):
        calls.append((name, value, real(None).mallopt(name, value)))
own_process.ctypes.CDLL = lambda name: Libc()
sys.argv[1:] = ["schema"]
from lorasdk.cli import main
try:
    main()
finally:
    print(calls, file=sys.stderr)
"""


@pytest.mark.skipif(own_process.platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_program_of_our_own_keeps_freed_memory():
    done = subprocess.run([sys.executable, "-c", TOUCHED], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[(-3, 33554432, 1), (-1, 2147483647, 1)]"


def test_a_host_that_calls_main_keeps_its_allocator(monkeypatch, capsys):
    monkeypatch.setattr(app, "keep_freed_memory", lambda: pytest.fail("touched"))
    with pytest.raises(SystemExit):
        app.main(["schema"])
    assert capsys.readouterr().out


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(own_process.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(own_process.ctypes, "CDLL", lambda _name: pytest.fail("touched"))
    own_process.keep_freed_memory()
