"""The model libraries are silent while we call them, and the host's settings come back."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from huggingface_hub.utils.tqdm import progress_bar_states
from tiny_model import write_tiny_model
from transformers.utils import logging as transformers_logging

from lorasdk.basemodel.quiet import LIBRARIES, quiet


def settings() -> tuple[object, ...]:
    loggers = [logging.getLogger(name) for name in ("", *LIBRARIES)]
    return (
        [(logger.level, list(logger.handlers), logger.propagate, logger.disabled) for logger in loggers],
        list(warnings.filters),
        dict(progress_bar_states),
        transformers_logging.is_progress_bar_enabled(),
    )


def test_the_hosts_settings_are_the_same_afterwards(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(progress_bar_states, "peft.loading", False)
    logging.getLogger("peft").setLevel(logging.DEBUG)
    before = settings()
    with pytest.raises(ZeroDivisionError), quiet():
        _ = 1 / (settings() == before)
    assert settings() == before
    logging.getLogger("peft").setLevel(logging.NOTSET)


def test_warnings_of_the_libraries_are_ignored_and_the_hosts_are_not():
    with quiet():
        warnings.warn_explicit("advice", UserWarning, "config.py", 1, module="peft.config")
        with pytest.warns(UserWarning, match="own"):
            warnings.warn_explicit("own", UserWarning, "app.py", 1, module="peftish.app")


def test_loggers_of_the_libraries_are_silent(caplog: pytest.LogCaptureFixture):
    with quiet():
        logging.getLogger("bitsandbytes.backends.cpu.ops").error("no kernels")
        logging.getLogger("host").error("heard")
    assert [record.message for record in caplog.records] == ["heard"]


def test_progress_bars_are_not_drawn(capsys: pytest.CaptureFixture[str]):
    with quiet():
        list(transformers_logging.tqdm(range(3)))
    assert capsys.readouterr().err == ""
    list(transformers_logging.tqdm(range(3)))
    assert "3/3" in capsys.readouterr().err


def test_what_is_set_by_the_host_meanwhile_stays():
    before = list(warnings.filters)
    with quiet():
        warnings.filterwarnings("ignore", message="set meanwhile")
        logging.getLogger("datasets").setLevel(logging.INFO)
    added = [entry for entry in warnings.filters if entry not in before]
    assert [entry[1].pattern for entry in added] == ["set meanwhile"]
    assert logging.getLogger("datasets").level == logging.INFO
    logging.getLogger("datasets").setLevel(logging.NOTSET)


def test_overlapping_blocks_restore_when_the_last_one_ends():
    before = settings()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            leave.wait(10)

    with quiet():
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(10)
        with quiet():
            pass
    assert settings() != before
    leave.set()
    thread.join()
    assert settings() == before


def test_a_host_sees_nothing_when_we_import_and_load(tmp_path: Path):
    folder = write_tiny_model(tmp_path / "model", hidden=64)
    program = f"""
from pathlib import Path
from lorasdk.basemodel.quiet import quiet
with quiet():
    from lorasdk.basemodel.loading import load_base_model
    from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.contracts import LocatedModel
from lorasdk.recipe.schema import BaseModelSection
located = LocatedModel(Path({str(folder)!r}), "folder", "folder:tiny")
for quantization in ("none", "int8", "nf4"):
    section = BaseModelSection(quantization=quantization)
    load_base_model(located, section, cache_dir=Path({str(tmp_path)!r}))
load_tokenizer(located.path)
"""
    done = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
