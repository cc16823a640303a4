"""Renders chat templates, which come with models from anywhere, so that none can do more than write text.

Jinja's sandbox keeps a template from Python's insides. It does not keep it from running for ever, from filling the
memory, or from drawing from the host's random numbers. This one knows only what chat templates use, and gives each
rendering a `Budget` of processor time and characters. A template is rewritten to ask it at each step, and what makes a
large value out of small ones is asked how large before it is made. So nothing has to be interrupted: no thread and no
signal is needed, and the host's trace functions stay its own.

A template finds what transformers gives it (``raise_exception``, ``strftime_now``, ``tojson``, ``namespace``,
``{% generation %}``, ``{% break %}``), and writes the same text.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import Environment, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from lorasdk.data.template_budget import Budget, refuse
from lorasdk.data.template_globals import GLOBALS, tojson
from lorasdk.data.template_growth import METHODS, SEQUENCES, TEXTS, text_growth
from lorasdk.data.template_operators import OPERATORS, operate
from lorasdk.data.template_rewriting import BUILT, CHARGE, CONCATENATE, STEP, rewrite

MAX_SOURCE = 64 * 1024
"""Characters of a template."""
BUDGET = "budget()"
"""Key of a rendering's budget among its variables: no name that a template could read or set."""
_PLAIN = (str, int, float, list, tuple, dict, range)


class TemplateSandbox:
    """One chat template, compiled."""

    def __init__(self, source: str) -> None:
        """Compile it.

        Raises:
            TemplateError: it is longer than any chat template, no Jinja, or uses what chat templates have no use for.
        """
        if len(source) > MAX_SOURCE:
            refuse(f"it has {len(source):,} characters, and {MAX_SOURCE:,} are more than any model needs")
        try:
            source.encode("utf-8")
            self._template = _Environment().from_string(source)
        except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
            raise TemplateError(f"it cannot be compiled: {type(error).__name__}: {error}") from error

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text of a conversation.

        Args:
            variables: what the template may read, as plain data; the budget is that of ``messages`` and ``tools``.

        Raises:
            TemplateBoundError: it takes too long, or makes too much text.
            TemplateError: the template refuses the conversation, or fails.
        """
        budget = Budget([variables.get("messages"), variables.get("tools")])
        try:
            text = self._template.render({**variables, BUDGET: budget})
            text.encode("utf-8")  # half a surrogate pair, which a template can write, is no character
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TemplateError(f"{type(error).__name__}: {error}") from error
        return text


class _Attributes(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, extended the one way it can be: by a class that answers its questions. This: what is reached."""

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        if isinstance(obj, type) or (isinstance(obj, _PLAIN) and attr not in METHODS):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        return wrapped if wrapped is not None and wrapped.__name__ == "format" else None


class _Environment(_Attributes):
    """The same, and whatever a template does is paid for."""

    intercepted_binops = OPERATORS

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=_written
        )
        plain = _Attributes()  # its filters are called, and nothing is rendered
        plain.filters["tojson"] = tojson
        self.filters = {name: _bounded(name, plain) for name in SEQUENCES | TEXTS}
        self.filters |= {CHARGE: _charge, STEP: _step, BUILT: _built, CONCATENATE: _concatenate}
        self.globals = {"range": self.globals["range"], **GLOBALS}

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        rewrite(source)
        source.set_environment(self)
        return super()._generate(source, name, filename, defer_init)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        return operate(_budget(context), operator, left, right)

    def call(self, context: Context, called: Any, *args: object, **kwargs: object) -> object:  # noqa: ANN401 - Jinja's
        budget = _budget(context)
        arguments = [budget.whole(argument) for argument in args]
        text = _text_of(called)
        if text is not None:
            budget.take(text_growth(budget, called.__name__, text, (*arguments, *kwargs.values())))
        budget.deeper()
        result = super().call(context, called, *arguments, **kwargs)
        budget.back()
        if text is not None or isinstance(called, Macro | FunctionType):
            budget.made(result)
        return result


class _Generation(Extension):
    """``{% generation %}`` marks what an assistant says. Masks are proved otherwise here, so it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


def _budget(context: Context) -> Budget:
    budget: Budget = context.parent[BUDGET]
    return budget


def _text_of(called: Any) -> str | None:  # noqa: ANN401 - anything a template calls
    """The text that a method belongs to; None for anything else that is called."""
    # `wrap_str_format` gives a function around the method.
    method = vars(called).get("__wrapped__") if isinstance(called, FunctionType) else called
    owner = method.__self__ if isinstance(method, BuiltinMethodType | MethodType) else None
    return owner if isinstance(owner, str) else None


def _bounded(name: str, plain: Environment) -> Callable[..., object]:
    """Jinja's filter, which asks the budget first."""

    @pass_context
    def bounded(context: Context, value: object, *args: object, **kwargs: object) -> object:
        budget = _budget(context)
        budget.step()
        if name in SEQUENCES:
            value = budget.counted(value) if isinstance(value, Iterator) else value
            _require_number(name, args[1:], kwargs)
        elif args or kwargs or not isinstance(value, str):
            value = budget.whole(value)
            budget.weigh([value, *args, *kwargs.values()])
            budget.take(text_growth(budget, name, value, (*args, *kwargs.values())))
        result = plain.call_filter(name, value, args, kwargs, context)
        if name in TEXTS or not isinstance(result, str):
            budget.made(result)
        return result

    return bounded


def _require_number(name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
    """Refuse to sum up lists, each of which would be copied for each further one."""
    if name == "sum" and not all(isinstance(start, int | float) for start in (*args, kwargs.get("start", 0))):
        raise SecurityError("a chat template can sum up numbers only")


@pass_context
def _charge(context: Context, characters: int) -> bool:
    _budget(context).take(max(0, characters))
    return True


@pass_context
def _step(context: Context, value: object) -> object:
    _budget(context).step()
    return value


@pass_context
def _built(context: Context, value: object) -> object:
    _budget(context).made(value)
    return value


@pass_context
def _concatenate(context: Context, values: list[object]) -> str:
    budget = _budget(context)
    budget.take(budget.weigh(values))
    return "".join(map(str, values))


@pass_context
def _written(context: Context, value: object) -> object:
    """What stands between ``{{`` and ``}}``, before it is made a text of."""
    budget = _budget(context)
    if isinstance(value, str):
        budget.take(len(value))
    else:
        budget.take(budget.weigh([*value] if isinstance(value, KeysView | ValuesView | ItemsView) else value))
    return value
