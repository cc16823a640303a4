"""Does `lorasdk serve` lose a request, or mistake an adapter, when many clients ask at once?"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_load import Load, Question, put_under_load, serial_answers
from lorasdk import FineTuner

WORDS = ("alder", "birch", "cedar", "elm", "hazel", "larch", "maple", "willow")
"""What the adapters are called, and what their answers begin with."""
QUESTIONS = tuple(f"Where does parcel {number} go?" for number in range(8))
TRAINING = {"max_steps": 24, "batch_size": 8, "learning_rate": 2e-3}
MAX_TOKENS = 24
ROWS, WAITING = 32, 24
"""Less room than 64 clients need, so that some are told to come back."""


def measure(
    source: str, work_dir: Path, *, clients: int, seconds: float, adapters: int, tell: Callable[[str], None]
) -> bool:
    """Train adapters, serve them, ask; True when no request was lost and every answer is its own adapter's."""
    folders = [_adapter(source, work_dir, word) for word in WORDS[:adapters]]
    with _server(folders) as base_url:
        questions = [Question(word, text, MAX_TOKENS) for text in QUESTIONS for word in WORDS[:adapters]]
        alone = serial_answers(base_url, questions)
        _require_different(alone)
        tell(f"{len(questions)} questions answered one by one; now {clients} clients for {seconds:g} s")
        load = asyncio.run(put_under_load(base_url, alone, clients=clients, seconds=seconds))
    for line in table(load):
        tell(line)
    return not (load.lost or load.other)


def table(load: Load) -> Iterator[str]:
    """What is said of it, a line each."""
    done = len(load.latencies) + len(load.delayed)
    yield f"answers                 {done} in {load.seconds:.1f} s"
    yield f"throughput              {done / load.seconds:.1f} answers/s, {load.tokens / load.seconds:.0f} tokens/s"
    yield f"latency                 {_percentiles(load.latencies)}"
    yield f"time to first token     {_percentiles(load.first_tokens)} ({len(load.first_tokens)} streams)"
    yield f"told to come back       {load.retries} times, {len(load.delayed)} requests: {_percentiles(load.delayed)}"
    yield f"lost                    {len(load.lost)} {'; '.join(load.lost[:3])}".rstrip()
    yield f"of another adapter      {load.foreign}"
    yield f"otherwise than alone    {len(load.other)} {'; '.join(load.other[:3])}".rstrip()


def _percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    median, late = np.percentile(seconds, [50, 99])
    return f"p50 {median:.2f} s, p99 {late:.2f} s"


def _adapter(source: str, work_dir: Path, word: str) -> Path:
    """An adapter that answers with its own word; trained once."""
    recipe: dict[str, Any] = {
        "name": word,
        "output_dir": str(work_dir / "runs"),
        "base_model": {"source": source, "dtype": "float32"},
        "training": TRAINING,
    }
    trained = sorted((work_dir / "runs" / word).glob("run-*/adapter/lorasdk.json"))
    if trained:
        return trained[-1].parent
    rows = [{"prompt": text, "completion": f"{word} {number}"} for number, text in enumerate(QUESTIONS)]
    with FineTuner.from_recipe(recipe, data={"train": rows}) as tuner:
        return tuner.train(evaluate=False).adapter_dir


@contextmanager
def _server(adapters: Sequence[Path]) -> Iterator[str]:
    """`lorasdk serve` as a process of its own; gives its address."""
    bounds = ["--port", "0", "--max-rows", str(ROWS), "--max-waiting", str(WAITING), "--queue-seconds", "600"]
    command = [sys.executable, "-m", "lorasdk", "serve", *map(str, adapters), *bounds]
    log = adapters[0].parent / "serve.log"
    with log.open("w") as said, subprocess.Popen(command, stderr=said, env=dict(os.environ)) as process:
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(60)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        found = re.search(r"serving at (http\S+)", log.read_text("utf-8"))
        if found:
            return found[1]
        # Its end is noticed at once.
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"the server did not start: {log.read_text('utf-8')[-500:]}")


def _require_different(alone: dict[Question, str]) -> None:
    for text in QUESTIONS:
        said = [answer for question, answer in alone.items() if question.text == text]
        if len(set(said)) < len(said):
            raise RuntimeError(f"adapters answer alike and could not be told apart: {said}")
