"""How another process finds the plugins that the host handed over: by the names of modules and of functions in them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from lorasdk.background.refusals import plugins_cannot_cross
from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.functions import FunctionEvaluator, FunctionLoader, with_functions


@dataclass(frozen=True)
class PluginReference:
    """A plugin that is a module, or a function of one."""

    kind: Literal["module", "loader", "evaluator"]
    module: str
    function: str = ""
    """Its qualified name in the module."""
    name: str = ""
    """What a recipe calls the function."""

    def plugin(self) -> object:
        """Import it.

        Raises:
            PluginError: the module cannot be imported here.
        """
        try:
            module = import_module(self.module)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            fix = "the module must be importable in another process; or use isolation='thread'"
            raise PluginError(Problem("plugin.failed-to-load", why, place=self.module, fix=fix)) from error
        named: dict[str, Any] = {self.name: _inside(module, self.function)}
        match self.kind:
            case "loader":
                return with_functions((), loaders=named, evaluators=None)[0]
            case "evaluator":
                return with_functions((), loaders=None, evaluators=named)[0]
        return module


def references(plugins: Iterable[object]) -> tuple[PluginReference, ...]:
    """How to find `plugins` from another process.

    Raises:
        PluginError: one is an object that only this process has.
    """
    found = {id(plugin): _reference(plugin) for plugin in plugins}
    lost = [plugin for plugin in plugins if found[id(plugin)] is None]
    if lost:
        raise PluginError(plugins_cannot_cross(lost))
    return tuple(reference for reference in found.values() if reference is not None)


def _reference(plugin: object) -> PluginReference | None:
    match plugin:
        case ModuleType():
            return PluginReference("module", plugin.__name__) if _can_be_imported(plugin) else None
        case FunctionLoader():
            return _of_function(plugin, "loader")
        case FunctionEvaluator():
            return _of_function(plugin, "evaluator")
    return None


def _of_function(
    plugin: FunctionLoader | FunctionEvaluator, kind: Literal["loader", "evaluator"]
) -> PluginReference | None:
    module = sys.modules.get(plugin.function.__module__)
    path = plugin.function.__qualname__
    if module is None or not _can_be_imported(module) or "<" in path:  # <lambda>, or inside of another function
        return None
    found = _inside(module, path)
    decorated = isinstance(found, FunctionLoader | FunctionEvaluator) and found.function is plugin.function
    known = found is plugin.function or decorated
    return PluginReference(kind, module.__name__, path, plugin.name) if known else None


def _inside(module: ModuleType, path: str) -> object:
    return reduce(getattr, path.split("."), module) if path else module


def _can_be_imported(module: ModuleType) -> bool:
    # The program itself has a specification too when it was started with -m, but importing it would run it again.
    known = sys.modules.get(module.__name__) is module and module.__name__ != "__main__"
    return known and module.__spec__ is not None and module.__spec__.origin is not None
