"""Plain functions as components: for the one loader or measure that an application needs, without a class or a package.

A function's parameters become the component's options: a recipe may give what the function takes, checked against its
annotations. What `data_loader` and `evaluator` make is a plugin with one component, and can still be called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, create_model

from lorasdk.contracts import EvaluationContext, Example, LoadContext, Predictor, Row
from lorasdk.errors import PluginError, Problem
from lorasdk.plugins.specs import hookimpl

RowsFunction: TypeAlias = Callable[..., Iterable[Row]]
ScoreFunction: TypeAlias = Callable[..., float]
Rows = TypeVar("Rows", bound=RowsFunction)
Scores = TypeVar("Scores", bound=ScoreFunction)
Parameters = ParamSpec("Parameters")

CONTEXT = "context"
JUDGED = ("answer", "reference", "example")
"""What a score's function may ask for."""


@dataclass(frozen=True)
class FunctionLoader:
    """A data loader that is one function; also the plugin that offers it."""

    function: RowsFunction
    name: str
    summary: str
    Options: type[BaseModel]

    def __call__(self, *args: Any, **kwargs: Any) -> Iterable[Row]:  # noqa: ANN401 - the function's own
        """Call the function."""
        return self.function(*args, **kwargs)

    def check(self, options: BaseModel, context: LoadContext) -> Sequence[Problem]:  # noqa: ARG002
        """Nothing is known before the function runs."""
        return []

    def load(self, options: BaseModel, context: LoadContext) -> Iterable[Row]:
        """The function's rows."""
        told = {CONTEXT: context} if CONTEXT in _parameters(self.function) else {}
        return self.function(**_given(options), **told)

    @hookimpl
    def data_loaders(self) -> list[FunctionLoader]:
        """Itself."""
        return [self]


@dataclass(frozen=True)
class FunctionEvaluator:
    """An evaluator that is one function of an answer; also the plugin that offers it."""

    function: ScoreFunction
    name: str
    summary: str
    higher_is_better: bool
    Options: type[BaseModel]
    _wants: frozenset[str] = field(repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> float:  # noqa: ANN401 - the function's own
        """Call the function."""
        return self.function(*args, **kwargs)

    def score(
        self,
        options: BaseModel,
        examples: Sequence[Example],
        predictor: Predictor,
        context: EvaluationContext,
    ) -> list[float]:
        """Answer every example's prompt and ask the function about each answer."""
        answers = predictor.complete([example.prompt for example in examples])
        scores = []
        for answer, example in zip(answers, examples, strict=True):
            context.check_stop()
            told = {"answer": answer.text, "reference": example.reference, "example": example}
            scores.append(self.function(**{n: told[n] for n in JUDGED if n in self._wants}, **_given(options)))
        return scores

    @hookimpl
    def evaluators(self) -> list[FunctionEvaluator]:
        """Itself."""
        return [self]


@overload
def data_loader(function: Rows, /) -> FunctionLoader: ...
@overload
def data_loader(*, name: str | None = None) -> Callable[[Rows], FunctionLoader]: ...
def data_loader(
    function: RowsFunction | None = None, /, *, name: str | None = None
) -> FunctionLoader | Callable[[RowsFunction], FunctionLoader]:
    """Make a data loader of a function that gives rows; hand it over in ``plugins=[…]``.

    Args:
        function: its parameters are the options that a recipe may give; one called ``context`` gets the `LoadContext`.
        name: what a recipe calls it; the function's name when left out.

    Raises:
        PluginError: a parameter that cannot be an option.

    Example:
        >>> import lorasdk
        >>> @lorasdk.data_loader
        ... def greetings(times: int = 1):
        ...     '''The same greeting over and over.'''
        ...     for _ in range(times):
        ...         yield {"instruction": "Greet me.", "output": "Hello!"}
        >>> greetings.name, greetings.summary
        ('greetings', 'The same greeting over and over.')
    """
    if function is None:
        return lambda function: _loader(function, name)
    return _loader(function, name)


@overload
def evaluator(function: Scores, /) -> FunctionEvaluator: ...
@overload
def evaluator(*, name: str | None = None, higher_is_better: bool = True) -> Callable[[Scores], FunctionEvaluator]: ...
def evaluator(
    function: ScoreFunction | None = None, /, *, name: str | None = None, higher_is_better: bool = True
) -> FunctionEvaluator | Callable[[ScoreFunction], FunctionEvaluator]:
    """Make an evaluator of a function that scores one answer; hand it over in ``plugins=[…]``.

    Args:
        function: takes ``answer`` (the model's text) and, if it likes, ``reference`` (the row's own answer) and
            ``example`` (the whole row); its other parameters are the options that a recipe may give.
        name: what a recipe calls it; the function's name when left out.
        higher_is_better: which way is up.

    Raises:
        PluginError: the function takes no ``answer``, or a parameter cannot be an option.

    Example:
        >>> import lorasdk
        >>> @lorasdk.evaluator
        ... def brevity(answer: str, longest: int = 20) -> bool:
        ...     '''1 for short answers.'''
        ...     return len(answer) <= longest
        >>> brevity("Yes."), sorted(brevity.Options.model_fields)
        (True, ['longest'])
    """
    if function is None:
        return lambda function: _evaluator(function, name, higher_is_better=higher_is_better)
    return _evaluator(function, name, higher_is_better=higher_is_better)


def with_functions(
    plugins: Iterable[object],
    *,
    loaders: Mapping[str, RowsFunction] | None,
    evaluators: Mapping[str, ScoreFunction] | None,
) -> tuple[object, ...]:
    """Add functions, by the names that a recipe calls them, to `plugins`.

    Raises:
        PluginError: as `data_loader` and `evaluator`.
    """
    rows = [_loader(_plain(function), name) for name, function in (loaders or {}).items()]
    scores = [_scoring(function, name) for name, function in (evaluators or {}).items()]
    return (*plugins, *rows, *scores)


def _plain(function: RowsFunction) -> RowsFunction:
    return function.function if isinstance(function, FunctionLoader) else function


def _scoring(function: ScoreFunction, name: str) -> FunctionEvaluator:
    if isinstance(function, FunctionEvaluator):
        return replace(function, name=name)
    return _evaluator(function, name, higher_is_better=True)


def _loader(function: RowsFunction, name: str | None) -> FunctionLoader:
    called = name or _name(function)
    options = _options(function, called, reserved=(CONTEXT,))
    return FunctionLoader(function, called, _summary(function), options)


def _evaluator(function: ScoreFunction, name: str | None, *, higher_is_better: bool) -> FunctionEvaluator:
    called = name or _name(function)
    options = _options(function, called, reserved=JUDGED)
    wants = frozenset(_parameters(function)) & set(JUDGED)
    if "answer" not in wants:
        raise PluginError(_unusable(function, called, "it takes no parameter called answer"))
    return FunctionEvaluator(function, called, _summary(function), higher_is_better, options, wants)


def _parameters(function: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function, eval_str=True).parameters


def _options(function: Callable[..., object], name: str, *, reserved: Sequence[str]) -> type[BaseModel]:
    try:
        parameters = _parameters(function)
    except (TypeError, ValueError, NameError) as error:
        raise PluginError(_unusable(function, name, f"its parameters cannot be read: {error}")) from error
    fields: dict[str, Any] = {}
    for parameter in parameters.values():
        if parameter.name in reserved:
            continue
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise PluginError(_unusable(function, name, f"a recipe cannot give its parameter {parameter}"))
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields[parameter.name] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(f"{name}-options", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def _given(options: BaseModel) -> dict[str, Any]:
    # Not `model_dump`, which would take models that are options apart.
    return {name: getattr(options, name) for name in type(options).model_fields}


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _summary(function: Callable[..., object]) -> str:
    text = (inspect.getdoc(function) or "").strip().partition("\n")[0]
    return text or f"the function {_name(function)}"


def _unusable(function: Callable[..., object], name: str, why: str) -> Problem:
    return Problem(
        code="plugin.unusable-function",
        message=f"the function {_name(function)} cannot be the component {name!r}: {why}",
        found=repr(function),
        allowed="options, and for a loader context; for an evaluator answer, and perhaps reference and example",
        fix="change the function's parameters, or write a class and hand it over in plugins=[…]",
    )
