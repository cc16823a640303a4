"""What a component must have to be one, looked at before it is registered, so that it cannot fail for it later."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from lorasdk.plugins.discovery import Kind

NAME = re.compile(r"[A-Za-z][\w-]*")
"""What a recipe can write as a component's name: no white space, and no colon, which ends a model source's."""


@dataclass(frozen=True)
class Shape:
    """What makes an object a component of one kind."""

    kind: Kind
    title: str
    """The kind in words."""
    hook: str
    """The hook that offers it."""
    methods: Mapping[str, tuple[str, ...]]
    """The arguments of each method."""
    has_options: bool
    has_direction: bool = False


SHAPES: Final[Mapping[Kind, Shape]] = MappingProxyType(
    {
        "loader": Shape(
            kind="loader",
            title="data loader",
            hook="data_loaders",
            methods={"check": ("options", "context"), "load": ("options", "context")},
            has_options=True,
        ),
        "evaluator": Shape(
            kind="evaluator",
            title="evaluator",
            hook="evaluators",
            methods={"score": ("options", "examples", "predictor", "context")},
            has_options=True,
            has_direction=True,
        ),
        "source": Shape(
            kind="source",
            title="model source",
            hook="model_sources",
            methods={"check": ("request",), "locate": ("request",)},
            has_options=False,
        ),
    }
)


def faults(component: object, shape: Shape) -> list[str]:
    """Everything that keeps `component` from being one of this kind; empty when nothing does."""
    found = [_name_fault(component), _summary_fault(component)]
    found += [_method_fault(component, name, arguments) for name, arguments in shape.methods.items()]
    found += [_options_fault(component)] if shape.has_options else []
    if shape.has_direction and not isinstance(_of(component, "higher_is_better"), bool):
        found.append("higher_is_better must be True or False")
    return [fault for fault in found if fault]


def _of(component: object, attribute: str) -> object:
    return getattr(component, attribute, None)


def _name_fault(component: object) -> str:
    name = _of(component, "name")
    if isinstance(name, str) and NAME.fullmatch(name):
        return ""
    return f"name must be a text of letters, digits, - and _ that begins with a letter, got {name!r}"


def _summary_fault(component: object) -> str:
    summary = _of(component, "summary")
    fine = isinstance(summary, str) and summary.strip() and "\n" not in summary
    return "" if fine else f"summary must be one line of text, got {summary!r}"


def _method_fault(component: object, name: str, arguments: tuple[str, ...]) -> str:
    method = _of(component, name)
    expected = f"{name}({', '.join(arguments)})"
    if not callable(method):
        return f"it has no method {expected}"
    return "" if _takes(method, len(arguments)) else f"{name}{inspect.signature(method)} must be {expected}"


def _takes(method: Callable[..., object], arguments: int) -> bool:
    try:
        inspect.signature(method).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _options_fault(component: object) -> str:
    options = _of(component, "Options")
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        return f"Options must be a pydantic model, got {options!r}"
    if options.model_config.get("extra") != "forbid":
        return f'Options must be closed, so that misspelt keys are found: {options.__name__} needs extra="forbid"'
    return ""
