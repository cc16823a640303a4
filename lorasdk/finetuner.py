"""The facade: a recipe goes in, an adapter and answers come out. Heavy rooms are imported when work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lorasdk import answering
from lorasdk.announcing import OnEvent
from lorasdk.background.run import Run
from lorasdk.background.starting import Isolation, start_run
from lorasdk.contracts import Row
from lorasdk.eval_report import EvalReport
from lorasdk.opening import open_adapter, open_recipe
from lorasdk.plugins import build_manager
from lorasdk.plugins.functions import RowsFunction, ScoreFunction, with_functions
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.results import Completion, PreviewRow, TrainResult
from lorasdk.stopping import StopToken
from lorasdk.train_options import Resume, TrainOptions
from lorasdk.tuner_state import TunerState

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts


class FineTuner:
    """Trains one recipe's adapter and answers with it, inside somebody's program.

    Make one with `from_recipe` or `from_adapter`. It may be shared by threads: answers are computed one after the
    other; while a training runs, everything else is refused with an error that says so. It keeps the model in memory
    until `close`, or the end of a ``with`` block.
    """

    def __init__(self, state: TunerState) -> None:
        """Not for callers: `from_recipe` and `from_adapter` say what is needed."""
        self._state = state

    @classmethod
    def from_recipe(
        cls,
        recipe: RecipeSource,
        *,
        overrides: Overrides = (),
        plugins: Iterable[object] = (),
        discover: bool = True,
        blocked: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        loaders: Mapping[str, RowsFunction] | None = None,
        evaluators: Mapping[str, ScoreFunction] | None = None,
        data: Mapping[str, Iterable[Row]] | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Read a recipe and find everything it names; nothing heavy is imported and no row is read yet.

        Args:
            recipe: a path, YAML or JSON text, a mapping, or a `Recipe`.
            overrides: ``["lora.rank=4"]`` or ``{"lora.rank": 4}``.
            plugins: objects with hook implementations, beside the installed packages.
            discover: whether installed plugin packages are found.
            blocked: what is never imported: names of distributions, entry points or components.
            allowed: when given, the only ones that are imported.
            loaders: functions that give rows, by the names that the recipe calls them; see `data_loader`.
            evaluators: functions that score an answer, in the same way; see `evaluator`.
            data: rows in memory by split (``train``, ``validation``, ``test``); they replace the recipe's sources.
            trust_remote_code: run Python code that comes with the base model; a recipe cannot ask for it.

        Raises:
            RecipeError: the recipe's text or values.
            PluginError: a component that nobody offers.
            DataError: a file that does not exist.
            ModelError: a base model that cannot be there.
        """
        loaded = load_recipe(recipe, overrides=overrides)
        every = with_functions(plugins, loaders=loaders, evaluators=evaluators)
        manager = build_manager(every, discover=discover, blocked=blocked, allowed=allowed)
        return cls(open_recipe(loaded, manager, rows=data or {}, trust_remote_code=trust_remote_code))

    @classmethod
    def from_adapter(  # noqa: D417 - several arguments share a line, because they are those of `from_recipe`
        cls,
        path: str | os.PathLike[str],
        *,
        overrides: Overrides = (),
        plugins: Iterable[object] = (),
        discover: bool = True,
        blocked: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        loaders: Mapping[str, RowsFunction] | None = None,
        evaluators: Mapping[str, ScoreFunction] | None = None,
        data: Mapping[str, Iterable[Row]] | None = None,
        allow_base_mismatch: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Open a saved adapter, in another process or on another day; the recipe comes from its passport.

        Args:
            path: an adapter folder, a run's folder, or the folder of a recipe's runs (the latest is taken).
            overrides: changes to the passport's recipe, such as ``base_model.source`` on another machine.
            plugins: as in `from_recipe`; so are discover, blocked, allowed, loaders, evaluators, trust_remote_code.
            data: rows for `evaluate` that replace those of the recipe.
            allow_base_mismatch: answer although the base model's weights are not those the adapter was trained on.

        Raises:
            AdapterError: there is no adapter, or it is damaged.
            LorasdkError: as `from_recipe`.
        """
        every = with_functions(plugins, loaders=loaders, evaluators=evaluators)
        state = open_adapter(
            Path(path),
            build_manager(every, discover=discover, blocked=blocked, allowed=allowed),
            overrides=overrides,
            rows=data or {},
            trust_remote_code=trust_remote_code,
            allow_base_mismatch=allow_base_mismatch,
        )
        return cls(state)

    @property
    def recipe(self) -> Recipe:
        """The recipe, overrides applied."""
        return self._state.resolved.recipe

    def preview(self, rows: int = 3) -> tuple[PreviewRow, ...]:
        """The first rows of each split as the model will see them, once the masks of all are proved."""
        return answering.preview(self._state, rows)

    def train(
        self,
        *,
        on_event: OnEvent | None = None,
        stop: StopToken | None = None,
        resume: Resume | str | os.PathLike[str] = "never",
        allow_changes: Iterable[str] = (),
        evaluate: bool = True,
    ) -> TrainResult:
        """Train an adapter and save it in a run's folder under the recipe's ``output_dir``.

        Args:
            on_event: called with every event, in the calling thread.
            stop: looked at before each forward pass; when thrown, what was learnt so far is saved and returned.
            resume: ``never`` begins a new run. ``auto`` goes on with the latest run if it did not come to its end,
                ``must`` insists on one, and a path names it. It goes on from its newest whole checkpoint, and ends
                with the bits of a run that was never interrupted.
            allow_changes: what may differ from the run that was begun, by name, such as ``training.learning_rate`` or
                ``versions``; the adapter's passport then says that it is not bit-exact.
            evaluate: compare base and tuned on the test rows at the end, as `evaluate` does.

        Raises:
            CheckpointError: there is nothing to resume, all checkpoints are damaged, or something else than was
                allowed has changed since the run began.
            DataError: rows cannot be used or a mask cannot be proved.
            ModelError: the base model cannot be loaded or adapted.
            TrainingError: a loss is not finite, or a training of this tuner is running already.
            ResourceError: memory or disk.
        """
        options = TrainOptions.of(resume, allow_changes, evaluate=evaluate)
        return self._state.train(self._state.emitter(on_event), stop or StopToken(), options)

    def start(  # noqa: D417 - as above
        self,
        *,
        isolation: Isolation = "thread",
        on_event: OnEvent | None = None,
        stop: StopToken | None = None,
        resume: Resume | str | os.PathLike[str] = "never",
        allow_changes: Iterable[str] = (),
        evaluate: bool = True,
    ) -> Run:
        """Begin what `train` does and return at once.

        Args:
            isolation: ``thread``: in a thread of this program. ``process``: in a process of its own, whose end, also a
                violent one, is an error here and nothing else, and gives all memory back.
            on_event: called with every event, in a thread of the run.
            stop: a switch of your own; `Run.stop` throws it.
            resume: as in `train`; so are allow_changes and evaluate.

        Raises:
            TrainingError: a training of this tuner is running, or no process is possible here.
            PluginError, DataError: with ``process``, a plugin or a row in memory that cannot be handed over.
            ResourceError: the system gives no process.
        """
        options = TrainOptions.of(resume, allow_changes, evaluate=evaluate)
        return start_run(self._state, isolation=isolation, on_event=on_event, stop=stop or StopToken(), options=options)

    def infer(
        self, prompt: Prompts, *, adapter: bool = True, on_event: OnEvent | None = None, **generation: object
    ) -> Completion | list[Completion]:
        """Answer a prompt, or a list of prompts together.

        Args:
            prompt: a text (one user turn), a conversation (`Message`s or mappings like them), or a list of either.
            adapter: False answers with the untouched base model.
            on_event: hears progress.
            generation: fields of the recipe's ``generation`` section for this call, such as ``max_new_tokens=20``.

        Returns:
            One `Completion` for one prompt, a list in the given order for a list.

        Raises:
            InferenceError: an empty or too long prompt, a bad setting, or no adapter yet.
            AdapterError: the saved adapter does not fit the base model or its template.
        """
        emit = self._state.emitter(on_event)
        return answering.answer(self._state, prompt, generation, adapter=adapter, emit=emit)

    def stream(self, prompt: Prompt, *, adapter: bool = True, **generation: object) -> Iterator[str]:
        """Answer one prompt piece by piece, as `infer`; closing the iterator early ends the work."""
        return answering.stream(self._state, prompt, generation, adapter=adapter)

    def evaluate(self, *, on_event: OnEvent | None = None, stop: StopToken | None = None) -> EvalReport:
        """Score the untouched base model and the adapter on the test rows; the run's folder gets a page about it.

        Raises:
            DataError: the recipe has no test rows, or they are not those the adapter's passport names.
            InferenceError: there is no adapter yet, or `stop` was thrown.
        """
        return self._state.compare(self._state.emitter(on_event), stop or StopToken())

    def export(self, folder: str | os.PathLike[str], *, on_event: OnEvent | None = None) -> Path:
        """Write base model and adapter merged into one ordinary model that transformers loads.

        Merged in full precision, also after a quantised training; what was written is loaded again and compared with
        base and adapter: log-probabilities on fixed prompts are at most 1e-3 nats apart.

        Raises:
            AdapterError: the folder is not empty, or the merged model answers otherwise.
            InferenceError: there is no adapter yet.
            ResourceError: the disk refuses.
        """
        return self._state.merge(Path(folder).expanduser().absolute(), self._state.emitter(on_event))

    def close(self) -> None:
        """Let go of the model's memory; the tuner loads it again when it is needed."""
        self._state.close()

    def __enter__(self) -> Self:
        """Use in a ``with`` block to close at its end."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close."""
        self.close()
