"""Are a component's options closed, documented, and their secrets declared?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from lorasdk.testing.findings import Findings

SECRET = re.compile(r"(^|_)(api_?key|access_?key|token|password|passwd|secret|credentials?|dsn)$", re.IGNORECASE)
"""Names of options that hold what nobody else may read."""
UNKNOWN = "no_such_option_of_any_plugin"


def check_options(model: type[BaseModel], findings: Findings) -> None:
    """Look at a component's ``Options`` and at every model inside it."""
    for inner in _models(model, seen=set()):
        _check_closed(inner, findings)
        for name, field in inner.model_fields.items():
            _check_field(inner, name, field, findings)
    findings.attempt("its JSON Schema", model.model_json_schema)


def made_options(model: type[BaseModel], given: Mapping[str, object] | None, findings: Findings) -> BaseModel | None:
    """The options that a test gives, or the defaults; None when there are none to try the component with."""
    try:
        return model.model_validate(dict(given or {}))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        findings.add(
            f"it cannot be tried, because its options are not valid: {wrong}",
            found=repr(sorted(given or {})),
            fix="call check_plugin(plugin, options={'the component': {…}}) with options that work in a test",
        )
        return None


def _models(kind: Any, seen: set[type]) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        yield kind
        for field in kind.model_fields.values():
            yield from _models(field.annotation, seen)
    for argument in get_args(kind):
        yield from _models(argument, seen)


def _check_closed(model: type[BaseModel], findings: Findings) -> None:
    if model.model_config.get("extra") != "forbid":
        findings.add(
            f"the options {model.__name__} let unknown keys through",
            found=f"extra={model.model_config.get('extra')!r}",
            allowed='extra="forbid"',
            fix='write model_config = ConfigDict(extra="forbid"), so that a misspelt key is found',
        )


def _check_field(model: type[BaseModel], name: str, field: FieldInfo, findings: Findings) -> None:
    where = f"{model.__name__}.{name}"
    if not (field.description or "").strip():
        findings.add(
            "the option has no description",
            field=where,
            fix="write a docstring under the field, with its unit, and model_config = "
            "ConfigDict(use_attribute_docstrings=True); or Field(description=…)",
        )
    if SECRET.search(name) and not _is_secret(field.annotation):
        findings.add(
            "the option's name says that it is a secret, and its type does not",
            field=where,
            found=str(field.annotation),
            allowed="pydantic.SecretStr",
            fix="declare it as SecretStr, so that a recipe can only refer to it: ${env:NAME}",
        )


def _is_secret(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return kind in {SecretStr, SecretBytes} or any(_is_secret(argument) for argument in get_args(kind))
