"""The hooks: everything a plugin can offer. Names and arguments are stable and pinned by a test.

A plugin is any object with functions of these names, marked with `hookimpl`. Packages register one under the
entry-point group ``lorasdk``; applications hand one over with ``FineTuner.from_recipe(..., plugins=[plugin])``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorasdk.contracts import DataLoader, Evaluator, ModelSource
    from lorasdk.events import Event

PROJECT = "lorasdk"
"""pluggy's project name and the entry-point group."""

API_VERSION = 1
"""Grows with every new hook, hook argument, event and event field. A plugin that needs them says so with an attribute
``lorasdk_api``, and is then refused, with both versions, by a lorasdk that is older."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The specifications that pluggy checks implementations against."""

    @hookspec
    def data_loaders(self) -> Sequence[DataLoader]:  # type: ignore[empty-body]
        """Offer data loaders.

        Example:
            >>> import pydantic, lorasdk
            >>> class Greetings:
            ...     name, summary = "greetings", "the same greeting over and over"
            ...     class Options(pydantic.BaseModel, extra="forbid"):
            ...         times: int = 1
            ...     def check(self, options, context):
            ...         return []
            ...     def load(self, options, context):
            ...         for _ in range(options.times):
            ...             yield {"instruction": "Greet me.", "output": "Hello!"}
            >>> class Plugin:
            ...     @lorasdk.hookimpl
            ...     def data_loaders(self):
            ...         return [Greetings()]
        """

    @hookspec
    def evaluators(self) -> Sequence[Evaluator]:  # type: ignore[empty-body]
        """Offer evaluators.

        Example:
            >>> import pydantic, lorasdk
            >>> class Brevity:
            ...     name, summary, higher_is_better = "brevity", "1 for answers of at most 20 characters", True
            ...     class Options(pydantic.BaseModel, extra="forbid"):
            ...         pass
            ...     def score(self, options, examples, predictor, context):
            ...         answers = predictor.complete([example.prompt for example in examples])
            ...         return [float(len(answer.text) <= 20) for answer in answers]
            >>> class Plugin:
            ...     @lorasdk.hookimpl
            ...     def evaluators(self):
            ...         return [Brevity()]
        """

    @hookspec
    def model_sources(self) -> Sequence[ModelSource]:  # type: ignore[empty-body]
        """Offer model sources.

        Example:
            >>> import lorasdk
            >>> from pathlib import Path
            >>> class Vault:
            ...     name, summary = "vault", "models of the company's vault"
            ...     def check(self, request):
            ...         return []
            ...     def locate(self, request):
            ...         folder = Path("/vault") / request.reference
            ...         return lorasdk.LocatedModel(folder, "folder", f"vault:{request.reference}")
            >>> class Plugin:
            ...     @lorasdk.hookimpl
            ...     def model_sources(self):
            ...         return [Vault()]
        """

    @hookspec
    def on_event(self, event: Event, run_dir: Path | None) -> None:
        """Observe what running work announces; an exception here is logged and never stops a run.

        It is called in the thread that works, so be quick. Take what you need of the arguments, without defaults:
        pluggy passes nothing to arguments that have one.

        Args:
            event: what happened.
            run_dir: folder of the run in which it happened, which tells runs apart that go on at once; None outside of
                a run, as when rows are read or questions answered.

        Example:
            >>> import lorasdk
            >>> class Plugin:
            ...     @lorasdk.hookimpl
            ...     def on_event(self, event):
            ...         if isinstance(event, lorasdk.StepFinished):
            ...             print(event.step, event.loss)
        """
