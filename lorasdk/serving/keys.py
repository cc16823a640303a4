"""Who may ask: bearer keys, compared in a time that says nothing about them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.requests import HTTPConnection

from lorasdk.errors import InferenceError, Problem


class Keys:
    """A set of keys, of which only digests are kept."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @property
    def needed(self) -> bool:
        """Whether a key is asked for at all."""
        return bool(self._digests)

    def require(self, connection: HTTPConnection) -> None:
        """Let through who has a key, or everybody where none is asked for.

        Raises:
            InferenceError: no key, or a wrong one.
        """
        if not self.needed:
            return
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise InferenceError(_refused("serving.no-key", "a key is needed"))
        if not self.known(key.strip()):
            raise InferenceError(_refused("serving.wrong-key", "the key is not valid here"))

    def known(self, key: str) -> bool:
        """Whether it is one of the keys; all are compared, whichever it is."""
        given = _digest(key)
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _refused(code: str, message: str) -> Problem:
    return Problem(code, message, fix="send the header Authorization: Bearer KEY")
