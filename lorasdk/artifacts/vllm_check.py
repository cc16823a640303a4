"""Whether vLLM serves adapters as they are, and the command that does: what its loader of adapters demands, in advance.

As single files of its source say, in releases up to 0.26: ``vllm/config/lora.py`` (ranks),
``vllm/lora/peft_helper.py`` (settings and scale), ``vllm/lora/utils.py`` and ``lora_model.py`` (names of weights),
``docs/features/quantization/gguf.md``. Which architectures and layers it can adapt is its own to say, at its start. No
torch, and no vLLM, is needed here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasdk.artifacts.passport import Passport, read_passport
from lorasdk.artifacts.vllm_findings import base_findings, differences, findings
from lorasdk.artifacts.vllm_reading import AsStored, read_as_stored
from lorasdk.errors import Problem
from lorasdk.runs.folder import find_adapter_dir, recipe_dir_of

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be; a newer vLLM also takes 1."""


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """An adapter as vLLM would serve it."""

    name: str
    """What requests call it: the recipe's name, with a number where several share one."""
    folder: Path
    """Absolute."""
    rank: int
    """The largest of its matrices."""


@dataclass(frozen=True, slots=True)
class VllmCheck:
    """What was found, and the command that serves the adapters."""

    adapters: tuple[ServedAdapter, ...]
    """In the given order."""
    problems: tuple[Problem, ...]
    """What vLLM refuses, or answers otherwise with and does not say so; empty when it serves them as they are."""
    notes: tuple[Problem, ...]
    """What to know or to look at; it keeps nothing from being served."""
    command: tuple[str, ...]
    """Words of the command; it works when there are no problems."""

    @property
    def fits(self) -> bool:
        """Whether nothing was found that vLLM refuses."""
        return not self.problems

    @property
    def command_line(self) -> str:
        """The command for a shell, an option a line."""
        lines: list[str] = []
        for word in map(shlex.quote, self.command):
            if word.startswith("--"):
                lines.append(word)
            elif lines:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return " \\\n    ".join(lines)


def check_vllm(adapter_dirs: Sequence[Path]) -> VllmCheck:
    """Look at adapters of one base model as vLLM would.

    Args:
        adapter_dirs: adapters' or runs' folders, at least one.

    Raises:
        AdapterError: there is no adapter, or its passport, settings or weights cannot be read.
    """
    folders = [find_adapter_dir(Path(folder).expanduser().absolute()) for folder in adapter_dirs]
    passports = [read_passport(folder) for folder in folders]
    stored = [read_as_stored(folder) for folder in folders]
    adapters = _named(folders, passports, stored)
    problems = [problem for each in stored for problem in findings(each, highest=RANKS[-1])]
    for folder, passport in zip(folders, passports, strict=True):
        problems += differences(folder, passport, passports[0])
    refused, notes = base_findings(passports[0], folders[0])
    return VllmCheck(
        adapters=adapters,
        problems=(*problems, *refused),
        notes=tuple(notes),
        command=_command(adapters, passports[0], folders[0]),
    )


def _named(
    folders: Sequence[Path], passports: Sequence[Passport], stored: Sequence[AsStored]
) -> tuple[ServedAdapter, ...]:
    names: list[str] = []
    for passport in passports:
        name = str(passport.recipe["name"])
        taken = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{taken + 1}" if name in names else name)
    return tuple(map(ServedAdapter, names, folders, (each.rank for each in stored)))


def _command(adapters: Sequence[ServedAdapter], passport: Passport, folder: Path) -> tuple[str, ...]:
    base = passport.base_model
    kind, _, reference = base.identity.partition(":")
    revision = ("--revision", base.revision) if kind == "hub" and base.revision else ()
    template = () if passport.template.origin == "tokenizer" else ("--chat-template", _template(passport))
    highest = max(adapter.rank for adapter in adapters)
    return (
        "vllm",
        "serve",
        reference if kind == "hub" else _path(passport, folder),
        *revision,
        *template,
        "--enable-lora",
        "--lora-modules",
        *(f"{adapter.name}={adapter.folder}" for adapter in adapters),
        "--max-lora-rank",
        str(next((rank for rank in RANKS if rank >= highest), highest)),
        "--max-loras",
        str(len(adapters)),
    )


def _path(passport: Passport, folder: Path) -> str:
    """Where the base lies on this machine, if the adapter still lies in its run."""
    source = passport.base_model.source
    base_dir = recipe_dir_of(folder)
    found = Path(source).expanduser() if base_dir is None else base_dir / Path(source).expanduser()
    return str(found.resolve()) if found.exists() else source


def _template(passport: Passport) -> str:
    name = passport.template.origin.partition(":")[2]
    return name if name.endswith(".jinja") else f"{name}.jinja"
