"""What keeps an artefact from a model hub, and the command that tries again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lorasdk.errors import AdapterError, LorasdkError, Problem, ResourceError
from lorasdk.pushes import PushOrder

UNAUTHORISED = (401, 403)
CHANGED = (409, 412)
"""Somebody else was quicker: the repository was made, or its branch moved."""
SHOWN = 5
QUERY = re.compile(r"\?[^\s'\">]+")
"""Addresses of a store carry their signature here."""
WHOLE = "the folder here is as it was"


def told(order: PushOrder, error: BaseException, token: str) -> LorasdkError:
    """An error of the hub's client in our words, without the token and without signed addresses."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    text = _text(error, token)
    for each in _chain(error):
        if isinstance(each, OfflineModeIsEnabled):
            return ResourceError(_offline(order))
        if isinstance(each, HFValidationError):
            return AdapterError(_bad_name(order, text))
        if isinstance(each, HfHubHTTPError):
            return _answered(order, each.response.status_code, text)
    return ResourceError(_failed(order, text))


def _answered(order: PushOrder, status: int, text: str) -> LorasdkError:
    if status in UNAUTHORISED:
        return ResourceError(_unauthorised(order, text))
    if status in CHANGED:
        return AdapterError(_changed(order, text))
    return ResourceError(_failed(order, text))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _text(error: BaseException, token: str) -> str:
    words = " ← ".join(f"{type(each).__name__}: {' '.join(str(each).split())}" for each in _chain(error))
    return QUERY.sub("?…", words.replace(token, "…") if token else words)


def no_token(order: PushOrder) -> Problem:
    """Nobody said who pushes."""
    return Problem(
        code="hub.push-no-token",
        message=f"a push needs an access token of the hub; {WHOLE}",
        place=str(order.folder),
        field="token",
        allowed="an argument token=…, the environment variable HF_TOKEN, or a login (hf auth login)",
        fix=f"HF_TOKEN=… {order.command}",
    )


def in_use(order: PushOrder, names: Sequence[str]) -> Problem:
    """The repository is there and has files."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Problem(
        code="hub.push-in-use",
        message=f"the repository has files already, and none was changed; {WHOLE}",
        place=order.repository,
        found=", ".join(names[:SHOWN]) + more,
        allowed="a repository that is new or empty; with overwrite=True files of the same names are replaced",
        fix=f"choose another name, or {replace(order, overwrite=True).command}",
    )


def public(order: PushOrder) -> Problem:
    """Everybody would see what should be private."""
    return Problem(
        code="hub.push-public",
        message=f"the repository is public, and the push was to be private; {WHOLE}",
        place=order.repository,
        field="private",
        allowed="a private repository, or private=False",
        fix=f"choose another name, or {replace(order, private=False).command}",
    )


def _offline(order: PushOrder) -> Problem:
    return Problem(
        code="hub.push-offline",
        message=f"HF_HUB_OFFLINE is set, so the hub's client may not go online; {WHOLE}",
        place=str(order.folder),
        field="HF_HUB_OFFLINE",
        fix=f"in a new process, since it is read once: env -u HF_HUB_OFFLINE {order.command}",
    )


def _bad_name(order: PushOrder, text: str) -> Problem:
    return Problem(
        code="hub.push-bad-name",
        message=f"a repository cannot be called so: {text}",
        field="repository",
        found=order.repository,
        allowed="ORG/NAME or USER/NAME of letters, digits, '-', '_' and '.'",
        fix="correct the name",
    )


def _unauthorised(order: PushOrder, text: str) -> Problem:
    return Problem(
        code="hub.push-unauthorised",
        message=f"the hub does not let this token write here: {text}; {WHOLE}",
        place=order.repository,
        field="token",
        fix=f"make a token with write access to {order.repository.partition('/')[0]}, then HF_TOKEN=… {order.command}",
    )


def _changed(order: PushOrder, text: str) -> Problem:
    return Problem(
        code="hub.push-changed",
        message=f"the repository changed while it was pushed to, and nothing was replaced: {text}; {WHOLE}",
        place=order.repository,
        fix=f"look at what is there now, then {order.command}",
    )


def _failed(order: PushOrder, text: str) -> Problem:
    return Problem(
        code="hub.push-failed",
        message=f"the push broke off, so that the hub shows all of it or nothing: {text}; {WHOLE}",
        place=order.repository,
        fix=f"try again: {order.command}",
    )
