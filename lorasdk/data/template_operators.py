"""Arithmetic of chat templates, asked how large its result will be before it is made."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lorasdk.data.template_budget import BITS, Budget, refuse, require_small
from lorasdk.data.template_growth import format_growth

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "//": operator.floordiv,
        "**": operator.pow,
        "%": operator.mod,
    }
)
OPERATORS = frozenset(_OPERATORS)
"""All that Jinja has."""


def operate(budget: Budget, sign: str, left: object, right: object) -> object:
    """The result of an operator.

    Raises:
        TemplateBoundError: it would be too large.
    """
    if sign == "+" and isinstance(left, str) and isinstance(right, str):  # what templates do most
        budget.take(len(left) + len(right))
        return left + right
    budget.step()
    require_small(left, right)
    match sign:
        case "*":
            budget.take(_repeated(budget, left, right))
        case "**" if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > BITS:
            refuse("it calculates with enormous numbers")
        case "%" if isinstance(left, str):
            budget.take(format_growth(budget, left, right))
    result = _OPERATORS[sign](left, right)
    budget.made(result)
    return result


def _repeated(budget: Budget, left: object, right: object) -> int:
    """Characters of a text or list that is repeated."""
    if isinstance(left, int):
        left, right = right, left
    return budget.weigh(left) * right if isinstance(left, str | list | tuple) and isinstance(right, int) else 0
