"""Registers a plugin object with pluggy, and says in words what keeps an object from being a plugin."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

import pluggy

from lorasdk.plugins.specs import API_VERSION, Hooks

HOOKS: tuple[str, ...] = tuple(name for name in vars(Hooks) if not name.startswith("_"))


class UnusablePluginError(Exception):
    """The object is no plugin, or one that this release cannot use; the message says why."""


@runtime_checkable
class RequiringApi(Protocol):
    """A plugin that says which version of the hooks it was written for."""

    lorasdk_api: int
    """At most `API_VERSION` of the lorasdk it runs in."""


def register(hooks: pluggy.PluginManager, plugin: object, name: str | None) -> str:
    """Register `plugin`, or leave everything as it was; gives the name that pluggy knows it by.

    Raises:
        UnusablePluginError: why it cannot be used.
    """
    _require_instance(plugin)
    _require_api(plugin)
    try:
        registered = hooks.register(plugin, name=name)
        assert registered is not None
        _require_hooks(hooks, plugin)
    except BaseException as error:
        if hooks.is_registered(plugin):
            hooks.unregister(plugin)
        if isinstance(error, pluggy.PluginValidationError | ValueError):
            raise UnusablePluginError(_in_words(error)) from error
        raise
    return registered


def _require_instance(plugin: object) -> None:
    if isinstance(plugin, type):
        raise UnusablePluginError(f"{plugin.__name__} is a class; hand over an object of it: {plugin.__name__}()")


def _require_api(plugin: object) -> None:
    if isinstance(plugin, RequiringApi) and plugin.lorasdk_api > API_VERSION:
        raise UnusablePluginError(
            f"it was written for version {plugin.lorasdk_api} of lorasdk's plugin interface, and this lorasdk has "
            f"version {API_VERSION}; upgrade lorasdk, or install an older release of the plugin"
        )


def _require_hooks(hooks: pluggy.PluginManager, plugin: object) -> None:
    callers = hooks.get_hookcallers(plugin) or []
    unknown = [caller.name for caller in callers if not caller.has_spec()]
    if unknown:
        near = get_close_matches(unknown[0], HOOKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"hooks are {', '.join(HOOKS)}"
        raise UnusablePluginError(f"it implements {unknown[0]!r}, which is no hook; {hint}")
    if not callers:
        raise UnusablePluginError(_without_hooks(plugin))
    wrapping = [caller.name for caller in callers if _wraps(caller, plugin)]
    if wrapping:
        raise UnusablePluginError(
            f"it wraps {wrapping[0]!r}; plugins cannot change each other, so implement it plainly"
        )


def _without_hooks(plugin: object) -> str:
    unmarked = [name for name in HOOKS if name in dir(plugin)]
    what = f"its {unmarked[0]!r} is not marked" if unmarked else f"mark one of {', '.join(HOOKS)}"
    return f"it implements no hook; {what} with @lorasdk.hookimpl"


def _wraps(caller: pluggy.HookCaller, plugin: object) -> bool:
    own = [implementation for implementation in caller.get_hookimpls() if implementation.plugin is plugin]
    return any(implementation.wrapper or implementation.hookwrapper for implementation in own)


def _in_words(error: Exception) -> str:
    if not isinstance(error, pluggy.PluginValidationError):
        return str(error)
    expected = "; ".join(_signature(name) for name in HOOKS if repr(name) in str(error))
    return f"{error}; expected {expected}"


def _signature(hook: str) -> str:
    taken = [name for name in inspect.signature(vars(Hooks)[hook]).parameters if name != "self"]
    return f"{hook}({', '.join(taken)})"
