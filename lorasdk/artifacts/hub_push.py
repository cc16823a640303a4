"""Pushes an artefact to a model hub: what its passport vouches for, in one commit, or not at all.

It only reads the folder. What the hub's client raises is told in `hub_refusals`, without the requests that hold the
token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lorasdk.artifacts.export_passport import ExportPassport, read_any_passport
from lorasdk.artifacts.hub_refusals import in_use, no_token, public, told
from lorasdk.artifacts.sealed_files import check_files
from lorasdk.artifacts.sealing import UNSEALED
from lorasdk.basemodel.adapter_config import CONFIG
from lorasdk.basemodel.quiet import quiet
from lorasdk.errors import AdapterError, ResourceError
from lorasdk.pushes import PushOrder, PushResult

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

MAIN = "main"
OF_THE_HUB = frozenset({".gitattributes"})
"""What the hub itself writes into a repository that it makes."""

Answer = TypeVar("Answer")


def push(order: PushOrder) -> PushResult:
    """Verify, look, commit.

    Raises:
        AdapterError: the artefact is not whole, or the repository is not to be changed like this.
        ResourceError: the hub cannot be had.
    """
    from huggingface_hub import HfApi

    passport = read_any_passport(order.folder)
    files = _files(order, passport.kind, check_files(order.folder, passport))
    adapter = passport.adapter if isinstance(passport, ExportPassport) else passport
    with quiet():
        token = _asked(order, "", lambda: _token(order))
        if not token:
            raise ResourceError(no_token(order))
        api = HfApi(endpoint=order.endpoint, token=token)
        found = _asked(order, token, lambda: _look(order, api))
        parent = _admitted(order, api, found, token)
        message = f"{adapter.recipe['name']}: {passport.kind}"
        commit = _asked(order, token, lambda: _commit(order, api, files, message=message, parent=parent))
    return PushResult(
        repository=order.repository,
        url=f"{api.endpoint}/{order.repository}",
        revision=order.revision or MAIN,
        commit=commit,
        files=files,
        created=found is None,
    )


def _files(order: PushOrder, kind: str, verified: tuple[str, ...]) -> tuple[str, ...]:
    """What is pushed: nothing that merely lies in the folder, which may be somebody's notes."""
    # Passports of earlier releases name the weights alone.
    plain = (CONFIG,) if kind == "adapter" else ()
    beside = [name for name in (*plain, *UNSEALED) if (order.folder / name).is_file()]
    return tuple(sorted({*verified, *beside}))


def _token(order: PushOrder) -> str:
    from huggingface_hub import get_token

    return order.token.get_secret_value() if order.token is not None else get_token() or ""


def _admitted(order: PushOrder, api: HfApi, found: ModelInfo | None, token: str) -> str | None:
    """Make what is missing: the repository, its branch; and give the commit to go on from.

    Raises:
        AdapterError: the repository is there, and has files or is public, and that was not allowed.
    """
    if found is None:
        _asked(order, token, lambda: api.create_repo(order.repository, private=order.private))
        _asked(order, token, lambda: _make_branch(order, api))
        return None
    if order.private and not found.private:
        raise AdapterError(public(order))
    branch = _asked(order, token, lambda: _look(order, api, revision=order.revision))
    start = branch or found  # what a new branch begins with
    names = {file.rfilename for file in start.siblings or ()} - OF_THE_HUB
    if names and not order.overwrite:
        raise AdapterError(in_use(order, sorted(names)))
    if branch is None:
        _asked(order, token, lambda: _make_branch(order, api))
    return start.sha


def _look(order: PushOrder, api: HfApi, *, revision: str | None = None) -> ModelInfo | None:
    """What is there; None when there is no such repository or branch."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.model_info(order.repository, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return None


def _make_branch(order: PushOrder, api: HfApi) -> None:
    if order.revision is not None:
        api.create_branch(order.repository, branch=order.revision, exist_ok=True)


def _commit(order: PushOrder, api: HfApi, files: tuple[str, ...], *, message: str, parent: str | None) -> str:
    from huggingface_hub import CommitOperationAdd

    info = api.create_commit(
        order.repository,
        [CommitOperationAdd(name, str(order.folder / name)) for name in files],
        commit_message=message,
        revision=order.revision,
        parent_commit=parent,  # so that nothing is replaced that came since we looked
    )
    return info.oid


def _asked(order: PushOrder, token: str, work: Callable[[], Answer]) -> Answer:
    """Do something with the hub's client; whatever it raises is told in our words."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the client raises its transport's own errors, and the transport changes
        refusal = told(order, error, token)
    # Not inside the block: the request that comes with the client's error holds the token.
    raise refusal
