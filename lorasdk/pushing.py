"""Hands an artefact on to a model hub. Light until work begins."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from lorasdk.pushes import PushOrder, PushResult
from lorasdk.runs.folder import find_adapter_dir


def push_to_hub(
    folder: str | os.PathLike[str],
    repository: str,
    *,
    token: SecretStr | str | None = None,
    private: bool = True,
    revision: str | None = None,
    overwrite: bool = False,
    endpoint: str | None = None,
) -> PushResult:
    """Push an adapter or an export to a model hub, in one commit: all of it is there, or nothing.

    The files that its passport names are compared with their hashes first; they, the passport and the model card are
    pushed, and nothing else that lies in the folder. The folder is only read.

    Args:
        folder: an adapter's or an export's; or a run's, or a folder of runs (the latest is taken).
        repository: ``ORG/NAME``; it is made if there is none.
        token: with the right to write; without, what the hub's client finds: ``HF_TOKEN``, or its login.
        private: who may see a repository that is made. One that is there and public is refused unless this is False.
        revision: a branch, made if needed.
        overwrite: replace files of a repository that has some; those that are not pushed stay.
        endpoint: address of another hub.

    Raises:
        AdapterError: a file is absent or changed, the repository has files or is public and that was not allowed, it
            changed meanwhile, or its name cannot be one.
        ResourceError: no token, no right, no network, or offline; the message ends with the command that tries again.
    """
    from lorasdk.artifacts.hub_push import push

    order = PushOrder(
        folder=find_adapter_dir(Path(folder).expanduser().absolute()),
        repository=repository,
        token=SecretStr(token) if isinstance(token, str) else token,
        private=private,
        revision=revision,
        overwrite=overwrite,
        endpoint=endpoint,
    )
    return push(order)
