"""Keeps the files of an adapter's folder inside it: a link in a folder that somebody sent could lead anywhere."""

from __future__ import annotations

from pathlib import Path

from lorasdk.errors import AdapterError, Problem


def require_inside(path: Path) -> None:
    """Let a file of a folder pass that lies there, or in the store of the hub client's cache around the folder.

    Raises:
        AdapterError: it is a link out of its folder, or to something that is no file, such as a device.
    """
    if not path.is_symlink():
        return
    target, folder = path.resolve(), path.parent.resolve()
    # The hub client's cache: models--ORG--NAME/snapshots/REVISION/FILE links to models--ORG--NAME/blobs/HASH.
    stores = [folder.parent.parent / "blobs"] if folder.parent.name == "snapshots" else []
    if target.is_file() and target.parent in {folder, *stores}:
        return
    raise AdapterError(
        Problem(
            code="adapter.link-outside",
            message="the file is a link that leads out of the adapter's folder",
            place=str(path.absolute()),
            found=str(target),
            allowed="a file of its own",
            fix="put a copy of the file there if you trust where the link leads",
        )
    )
