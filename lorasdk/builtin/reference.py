"""Reads the recipe's ``base_model.source``: which model source is meant, and what it is asked for.

Pure text and one look at the file system; it knows no source but by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from lorasdk.errors import ModelError, Problem

PREFIX = re.compile(r"([A-Za-z][\w.+-]+):(.*)", re.DOTALL)
"""At least two characters before the colon, so that a Windows drive is none."""
PATH_LIKE = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")


def split_reference(source: str, base_dir: Path, *, known: Collection[str]) -> tuple[str, str]:
    """Tell the source's name from its reference.

    In this order: an explicit ``name:``; a ``.gguf`` file; a folder that exists or looks like a path (it begins with
    ``.``, ``/``, ``~`` or a drive); else a hub id.

    Args:
        source: the recipe's ``base_model.source``.
        base_dir: relative paths start here.
        known: names of the registered model sources.

    Returns:
        The source's name and the reference to hand to it.

    Raises:
        ModelError: the name before the colon is not registered, or nothing comes after it.
    """
    explicit = PREFIX.fullmatch(source)
    if explicit:
        return _known(explicit[1], explicit[2], known)
    if source.lower().endswith(".gguf"):
        return "gguf", source
    if PATH_LIKE.match(source) or (base_dir / source).is_dir():
        return "folder", source
    return "hub", source


def resolve_path(reference: str, base_dir: Path) -> Path:
    """Make a path of the recipe absolute; ``~`` is the user's home."""
    return (base_dir / Path(reference).expanduser()).resolve()


def _known(name: str, reference: str, known: Collection[str]) -> tuple[str, str]:
    if name in known and reference:
        return name, reference
    near = get_close_matches(name, known, n=1)
    raise ModelError(
        Problem(
            code="model.unknown-source" if name not in known else "model.empty-reference",
            message=f"no model source is called {name!r}" if name not in known else f"nothing comes after '{name}:'",
            field="base_model.source",
            found=f"{name}:{reference}",
            allowed=", ".join(f"{other}:" for other in sorted(known)),
            fix=f"did you mean '{near[0]}:{reference}'?" if near and reference else "write name:reference",
        )
    )
