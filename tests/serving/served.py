"""`lorasdk serve` as a process of its own, on the tiny model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiny_training import tiny_recipe

from lorasdk import FineTuner

KEY, ADMIN = "client-key", "admin-key"


def tiny_adapter(model: Path, output: Path, name: str, answer: str) -> Path:
    """An adapter that has learnt one answer by heart."""
    recipe = tiny_recipe(model, output, training={"max_steps": 20}, generation={"max_new_tokens": 16})
    rows = [{"instruction": f"say {number}", "output": answer} for number in range(8)]
    with FineTuner.from_recipe({**recipe, "name": name}, data={"train": rows}) as tuner:
        return tuner.train(evaluate=False).adapter_dir


class Served:
    """A server that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.said, self.base_url = process, "", ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(120), self.said
        assert self.base_url, self.said

    def _read(self) -> None:
        for line in self.process.stderr:
            self.said += line
            found = re.search(r"serving at (http\S+)", line)
            if found:
                self.base_url = found[1]
                self._ready.set()
        self._ready.set()

    def end(self) -> int:
        """Wait for its end; all that it said is there then."""
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextmanager
def serving(*arguments: object, cache: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "lorasdk", "serve", "--port", "0", *map(str, arguments)]
    environment: dict[str, Any] = {**os.environ, "XDG_CACHE_HOME": str(cache), "CLIENT_KEY": KEY, "ADMIN_KEY": ADMIN}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment) as it:
        try:
            yield Served(it)
        finally:
            it.kill()
