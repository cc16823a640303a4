"""The model source `hub`: a model of a Hugging Face hub, in the hub client's own cache.

The client goes on where a connection broke, keeps files that are whole for the next run, and shows a file only when it
is whole; nothing of that is repeated here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.contracts import LocatedModel, SourceRequest
from lorasdk.errors import ModelError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer*", "*.model", "*.txt", "*.jinja"]
"""What a model needs. No pickled weights and no Python code ever reach the disk."""
REPOSITORY = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class HubSource:
    """Finds a model by its id, such as ``org/name``."""

    name = "hub"
    summary = "a model of a Hugging Face hub"

    def __init__(self, *, cache_dir: Path | None = None, endpoint: str | None = None) -> None:
        """Use the hub client's own cache and hub unless told otherwise."""
        self._cache_dir = cache_dir
        self._endpoint = endpoint

    def check(self, request: SourceRequest) -> list[Problem]:
        """Say whether the reference cannot be an id."""
        if REPOSITORY.fullmatch(request.reference):
            return []
        return [
            Problem(
                code="hub.bad-id",
                message="not the id of a hub model",
                place=request.place,
                field="base_model.source",
                found=request.reference,
                allowed="org/name",
                fix="write a folder with a leading ./ so that it is not taken for an id",
            )
        ]

    def locate(self, request: SourceRequest) -> LocatedModel:
        """Bring the model's files to the hub cache, or find them there when offline.

        Raises:
            ModelError: the id or revision does not exist, access is refused, the model is not in the cache while
                offline, the download was cut, or the model has no safetensors weights.
        """
        problems = self.check(request)
        if problems:
            raise ModelError(*problems)
        folder = self._download(request)
        if not any(folder.glob("*.safetensors")):
            raise ModelError(_problem(request, "hub.no-safetensors", *_NO_SAFETENSORS))
        return LocatedModel(folder, "folder", f"{self.name}:{request.reference}", folder.name)

    def _download(self, request: SourceRequest) -> Path:
        from huggingface_hub import snapshot_download

        try:
            return Path(
                snapshot_download(
                    request.reference,
                    revision=request.revision,
                    token=request.token.get_secret_value() if request.token else None,
                    allow_patterns=FILES,
                    cache_dir=self._cache_dir,
                    endpoint=self._endpoint,
                    tqdm_class=_silent_bar(),
                )
            )
        except Exception as error:  # the client raises its transport's own errors, and the transport changes
            raise ModelError(self._explain(request, error)) from error

    def _explain(self, request: SourceRequest, error: Exception) -> Problem:
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        if isinstance(error, GatedRepoError):
            return _problem(request, "hub.gated", *_GATED)
        if isinstance(error, RepositoryNotFoundError):
            return _problem(request, "hub.unknown-model", *_UNKNOWN)
        if isinstance(error, RevisionNotFoundError):
            return _problem(request, "hub.unknown-revision", f"no revision {request.revision!r} exists", _REVISION)
        if isinstance(error, HfHubHTTPError) and error.response.status_code in _REFUSED:
            return _problem(request, "hub.unauthorised", *_UNAUTHORISED)
        if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
            cache = self._cache_dir or Path(constants.HF_HUB_CACHE)
            place = cache / f"models--{request.reference.replace('/', '--')}"
            return _problem(request, "hub.offline", f"offline and not in cache {place}", _OFFLINE)
        return _problem(request, "hub.download-failed", f"the download failed: {type(error).__name__}: {error}", _CUT)


_REFUSED = (401, 403)
_NO_SAFETENSORS = (
    "the model has no safetensors weights; pickled ones can run any code and are not downloaded",
    "look for a safetensors revision of the model, or convert the weights in an environment you trust",
)
_GATED = (
    "the model is gated and this account was not given access",
    "accept the terms on the model's page, then set base_model.token: ${env:HF_TOKEN}",
)
_UNKNOWN = (
    "the hub has no such model, or it is private",
    "correct the id; for a private model set base_model.token: ${env:HF_TOKEN}",
)
_UNAUTHORISED = (
    "the hub refuses the access token",
    "make a new token with read access, and set base_model.token: ${env:HF_TOKEN}",
)
_REVISION = "correct base_model.revision, or remove it for the newest"
_OFFLINE = "connect once to download it, correct the id, or unset HF_HUB_OFFLINE"
_CUT = "run again: files that were downloaded whole are kept, no partial one is ever used"


def _silent_bar() -> type:
    from huggingface_hub.utils.tqdm import tqdm

    # The client wants a class of its own kind. This one draws nothing and leaves the host's bars as they are.
    return type("SilentBar", (tqdm,), {"__init__": _silenced(tqdm.__init__)})


def _silenced(initialise: Callable[..., None]) -> Callable[..., None]:
    def initialise_silently(self: object, *args: object, **kwargs: object) -> None:
        kwargs["disable"] = True
        initialise(self, *args, **kwargs)

    return initialise_silently


def _problem(request: SourceRequest, code: str, message: str, fix: str) -> Problem:
    found = f"{request.reference} @ {request.revision}" if request.revision else request.reference
    return Problem(code=code, message=message, place=request.place, field="base_model.source", found=found, fix=fix)
