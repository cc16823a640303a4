"""Which database is meant: SQLAlchemy's URL of it, a name that may be shown, and what must not be."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from lorasdk.contracts import LoadContext
from lorasdk.errors import DataError, Problem
from lorasdk_sql.options import SqlOptions

SECRET_KEY = re.compile(r"pass|pwd|secret|token|credential|api_?key", re.IGNORECASE)
"""Keys of a URL's query whose values are not for anybody's eyes."""
EMBEDDED = re.compile(r"(?:pwd|password)=([^;]+)", re.IGNORECASE)
"""A password inside a value that is a connection string itself, as for ODBC."""
MASK = "***"


@dataclass(frozen=True)
class Address:
    """A database that can be connected to."""

    url: URL
    """SQLAlchemy's URL, password included."""
    secrets: tuple[str, ...] = field(repr=False)
    """Texts that no message may contain, the longest first."""

    @property
    def shown(self) -> str:
        """The database in words, without anything secret."""
        where = f" on {self.url.host}" if self.url.host else ""
        port = f":{self.url.port}" if self.url.port else ""
        name = f"{self.url.database!r}" if self.url.database else "the default database"
        return self.hide(f"{name}{where}{port}")

    def hide(self, text: str) -> str:
        """Mask everything secret in what somebody else wrote."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def safe(self, error: BaseException) -> bool:
        """Whether neither an error nor what led to it says anything secret."""
        said = f"{error!s} {error!r}"
        led = [other for other in (error.__cause__, error.__context__) if other is not None]
        return self.hide(said) == said and all(self.safe(other) for other in led)


def find_address(options: SqlOptions, context: LoadContext) -> Address:
    """Read the options' `url` or `path`.

    Raises:
        DataError: the URL is none, or the SQLite file is not there.
    """
    if options.url is None:
        file = sqlite_file(options, context)
        # Opened for reading alone, which `PRAGMA query_only` is not: a missing file is not made either.
        url = URL.create("sqlite", database=file.as_uri(), query={"mode": "ro", "uri": "true"})
        return Address(url, ())
    parsed = _parsed(options.url, context)
    address = Address(parsed, _secrets(options.url.get_secret_value(), parsed))
    _refuse_split_password(address.url, context)
    if address.url.get_backend_name() == "sqlite" and _is_plain_file(address.url):
        _require_file(Path(address.url.database or ""), f"data.{context.split}.url", context)
    return address


def sqlite_file(options: SqlOptions, context: LoadContext) -> Path:
    """The file that `path` names.

    Raises:
        DataError: there is none.
    """
    path = Path(options.path or "")
    with suppress(RuntimeError):  # `~somebody` who has no home here stays as written, and is missed as any other file
        path = path.expanduser()
    path = (context.base_dir / path).absolute()
    _require_file(path, f"data.{context.split}.path", context)
    return path


def _require_file(path: Path, field: str, context: LoadContext) -> None:
    try:
        there = path.is_file()
    except OSError as error:
        raise DataError(_no_file(path, field, context, f"the SQLite file cannot be read: {error}")) from error
    if not there:
        why = "this is a folder" if path.is_dir() else "there is no such SQLite file"
        raise DataError(_no_file(path, field, context, why))


def _is_plain_file(url: URL) -> bool:
    return url.database not in {None, "", ":memory:"} and "uri" not in url.query


def _parsed(url: SecretStr, context: LoadContext) -> URL:
    # Not chained: what is not understood may be the password, and parsers quote what they do not understand.
    try:
        return make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        problem = _bad_url("the URL of the database cannot be understood", context)
    raise DataError(problem)


def _refuse_split_password(url: URL, context: LoadContext) -> None:
    # An unescaped @ ends the password early, and its rest would be shown as a host that cannot be found.
    if url.password is not None and "@" in f"{url.host}{url.database}":
        raise DataError(_bad_url("the URL of the database has two @: one must belong to the password", context))


def _secrets(written: str, url: URL) -> tuple[str, ...]:
    found = {written, str(url.password or "")}
    for key, value in url.normalized_query.items():
        for text in value:
            found |= {text} if SECRET_KEY.search(key) else set()
            found |= set(EMBEDDED.findall(text))
    spelt = {form for text in found for form in (text, quote(text, safe=""), quote(text, safe=" +"), repr(text)[1:-1])}
    return tuple(sorted(spelt - {""}, key=len, reverse=True))


def _bad_url(message: str, context: LoadContext) -> Problem:
    return Problem(
        code="sql.bad-url",
        message=message,
        place=context.place,
        field=f"data.{context.split}.url",
        allowed="dialect+driver://user:password@host:port/database",
        fix="correct the environment variable; @ in a password is written %40, / is %2F, : is %3A and % is %25",
    )


def _no_file(path: Path, field: str, context: LoadContext, message: str) -> Problem:
    return Problem(
        code="sql.no-file",
        message=message,
        place=context.place,
        field=field,
        found=str(path.absolute()),
        allowed="an SQLite file",
        fix="correct the path; as `path` it is relative to the recipe's folder, in a URL to the working directory",
    )
