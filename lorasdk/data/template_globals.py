"""What a chat template may call by name, as transformers offers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.utils import Cycler, Joiner, Namespace


def tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as models read it: Jinja's own filter would write some letters as HTML does."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # the time on the wall


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:  # noqa: ANN401 - as the class that templates expect
    return dict(*args, **kwargs)


def _namespace(*args: Any, **kwargs: Any) -> Namespace:  # noqa: ANN401
    attributes = dict(*args, **kwargs)
    if any(str(name).startswith("_") for name in attributes):
        raise SecurityError("a chat template cannot store names that begin with _")
    return Namespace(attributes)


GLOBALS: Mapping[str, Any] = MappingProxyType(
    {
        "cycler": Cycler,
        "dict": _dict,
        "joiner": Joiner,
        "namespace": _namespace,
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
    }
)
"""By name; ``range`` is Jinja's own, which refuses long ones."""
