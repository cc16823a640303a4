"""Refuses to read anybody's files with libraries whose reading is known to run code that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

from packaging.version import Version

from lorasdk.errors import ModelError, Problem

FIRST_SAFE: Mapping[str, str] = MappingProxyType(
    {
        # CVE-2025-27516 and CVE-2024-56326: templates get out of the sandbox.
        "jinja2": "3.1.6",
        # CVE-2025-32434: `torch.load` runs code although told to read weights only. Nothing here calls it; libraries
        # that are handed a model's folder might.
        "torch": "2.6",
        # CVE-2026-4372: a model's `config.json` names a repository of kernels, which is fetched and run whatever
        # `trust_remote_code` says.
        "transformers": "5.3",
    }
)
"""The requirements of this package ask for these or newer; an environment can be changed after it was made."""


def require_safe_versions() -> None:
    """Let the process pass if its libraries may be shown files of unknown origin.

    Raises:
        ModelError: some may not; each is named with the version it needs.
    """
    found = {name: version(name) for name in FIRST_SAFE}
    problems = [
        _unsafe(name, found[name]) for name, first in FIRST_SAFE.items() if Version(found[name]) < Version(first)
    ]
    if problems:
        raise ModelError(*problems)


def _unsafe(name: str, found: str) -> Problem:
    return Problem(
        code="model.unsafe-library",
        message=f"{name} {found} has a known fault by which a model's files can run code",
        found=f"{name} {found}",
        allowed=f"{name} {FIRST_SAFE[name]} or newer",
        fix=f'pip install "{name}>={FIRST_SAFE[name]}"',
    )
