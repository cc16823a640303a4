"""Errors as clients of OpenAI's protocol expect them, with our codes; no path of the machine is told."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from starlette.responses import JSONResponse

from lorasdk.errors import (
    MAX_SHOWN,
    AdapterError,
    DataError,
    InferenceError,
    LorasdkError,
    ModelError,
    Problem,
    RecipeError,
    ResourceError,
)

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""What is counted when nobody waits for an answer any more; never sent."""
STATUS: Mapping[str, int] = MappingProxyType(
    {
        "serving.no-key": 401,
        "serving.wrong-key": 401,
        "serving.loading-off": 403,
        "serving.path-outside": 403,
        "serving.not-found": 404,
        "adapter.unknown": 404,
        "tuner.no-adapter": 404,
        "serving.wrong-method": 405,
        "serving.body-too-slow": 408,
        "serving.body-too-large": 413,
        "serving.not-json": 415,
        "inference.queue-full": 429,
        "serving.client-gone": CLIENT_GONE,
        "inference.failed": 500,
        "serving.fault": 500,
        "serving.closing": 503,
        "serving.waited-too-long": 503,
        "inference.closed": 503,
        "inference.stopped": 503,
        "tuner.busy": 503,
        "serving.too-slow": 504,
    }
)
KINDS: tuple[tuple[type[LorasdkError], int], ...] = (
    (InferenceError, 400),
    (DataError, 400),
    (RecipeError, 400),
    (AdapterError, 422),
    (ModelError, 422),
    (ResourceError, 503),
)
"""For codes that are not listed."""
UNTOLD: Mapping[str, str] = MappingProxyType({"inference.failed": "the answer could not be computed"})
"""Instead of messages that quote a library's."""
SENT_AS: Mapping[str, str] = MappingProxyType({"max_new_tokens": "max_tokens"})
"""Our name of a setting and the protocol's."""
PATHS = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:[\\/]|[\\/]|~[\\/])(?:[^\s\"'(),;:\\/]+[\\/])+")
"""All of a path but its last part."""


def status_of(error: LorasdkError) -> int:
    """The HTTP status that fits."""
    listed = STATUS.get(error.code)
    return listed or next((status for kind, status in KINDS if isinstance(error, kind)), 500)


def body_of(error: LorasdkError) -> dict[str, Any]:
    """The error in OpenAI's shape: the first problem's field and code, all problems' messages."""
    first = error.problems[0]
    return {
        "error": {
            "message": "; ".join(_told(problem) for problem in error.problems[:MAX_SHOWN]),
            "type": _type(status_of(error)),
            "param": SENT_AS.get(first.field, first.field) or None,
            "code": first.code,
        }
    }


def refusal(error: LorasdkError, *, retry_after: float | None = None) -> JSONResponse:
    """The whole response."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after + 0.5)))
        headers["Retry-After-Ms"] = str(round(retry_after * 1000))
    if error.code in {"serving.too-slow", "serving.fault"}:
        # What took too long or failed once does so again: OpenAI's client would ask twice more by itself.
        headers["X-Should-Retry"] = "false"
    return JSONResponse(body_of(error), status, headers)


def understood(error: Exception) -> LorasdkError:
    """Our errors as they are; of anything else only the kind is told, and where it happened is logged."""
    if isinstance(error, LorasdkError):
        return error
    # The message may hold what a client sent; the lines of code do not.
    lines = "".join(traceback.format_tb(error.__traceback__))
    logger.error("a request failed with %s\n%s", type(error).__name__, lines)
    return LorasdkError(Problem("serving.fault", "the server failed", fix="tell whoever runs it; its log says where"))


def _told(problem: Problem) -> str:
    if problem.code in UNTOLD:
        return UNTOLD[problem.code]
    parts = [problem.message]
    if problem.allowed:
        parts.append(f"allowed: {problem.allowed}")
    if problem.fix:
        parts.append(problem.fix)
    return PATHS.sub("…/", ". ".join(parts))


def _type(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}:
        return "timeout_error"
    return "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
