"""Keeps credentials out of everything that is said or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

LONGEST = 400
"""Characters of a reason that are worth reading."""
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "AWS_SECRET_ACCESS_KEY")
HIDDEN = "***"
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@'\"]*@")
_QUERY = re.compile(r"(?<=://)([^\s?#'\"]*)[?#][^\s'\"]*")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """One line of `text` without `secrets`, and without user, password and query (a signature, say) of any address."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    line = " ".join(_QUERY.sub(r"\1", _CREDENTIALS.sub("", text)).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def shown_uri(uri: str) -> str:
    """An address without its credentials and its query."""
    # Not put together by `urllib`, which takes two of the four slashes of ``sqlite:////absolute/path`` away.
    user, at, _ = urlsplit(uri).netloc.rpartition("@")
    return re.split(r"[?#]", uri.replace(user + at, "", 1))[0]


def secrets_of(uri: str, environment: Mapping[str, str]) -> list[str]:
    """What must never be said: the address's password and query, and MLflow's credentials."""
    parts = urlsplit(uri)
    named = [environment.get(name, "") for name in SECRET_VARIABLES]
    password = parts.password or ""
    return [secret for secret in (password, unquote(password), parts.query, *named) if secret]
