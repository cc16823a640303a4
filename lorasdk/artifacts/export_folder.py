"""Whether a folder may receive an export: what somebody else wrote is never in danger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorasdk.artifacts.passport import FILE_NAME
from lorasdk.errors import AdapterError, Problem


def require_free(folder: Path, *, overwrite: bool, needed: Sequence[Path]) -> None:
    """Let a folder pass that does not exist or is empty, or that holds an artefact of ours and may be replaced.

    Args:
        folder: absolute.
        overwrite: whether an artefact may be replaced.
        needed: folders and files that the export is made from.

    Raises:
        AdapterError: the folder is in use.
    """
    inside = [path for path in needed if _holds(folder, path)]
    if inside:
        raise AdapterError(_onto_itself(folder, inside[0]))
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise AdapterError(_not_empty(folder))
    # A folder that is replaced is gone: it must be one that an export made, and not somebody's home.
    if folder.is_symlink() or not (folder / FILE_NAME).is_file():
        raise AdapterError(_not_ours(folder))


def _holds(folder: Path, path: Path) -> bool:
    one, other = folder.resolve(), path.resolve()
    return one == other or one in other.parents or (other.is_dir() and other in one.parents)


def _not_empty(folder: Path) -> Problem:
    return Problem(
        code="export.not-empty",
        message="the folder is not empty; nothing is overwritten unasked",
        place=str(folder),
        fix="choose another folder, or replace the artefact that is there with overwrite=True (--overwrite)",
    )


def _not_ours(folder: Path) -> Problem:
    return Problem(
        code="export.not-an-artefact",
        message="what is there was not written by an export, so that it is not replaced",
        place=str(folder),
        found="a link" if folder.is_symlink() else f"no {FILE_NAME} in it",
        allowed="a folder that an earlier export wrote",
        fix="choose another folder, or delete this one yourself",
    )


def _onto_itself(folder: Path, needed: Path) -> Problem:
    return Problem(
        code="export.onto-itself",
        message="the export would lie in, around or in place of what it is made from",
        place=str(folder),
        found=str(needed),
        fix="choose a folder of its own",
    )
