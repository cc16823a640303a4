"""The facade: a recipe goes in, an adapter and answers come out. Heavy rooms are imported when work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lorasdk.contracts import Row
from lorasdk.plugins import Manager, build_manager
from lorasdk.recipe import Recipe, load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.resolving import resolve
from lorasdk.results import Completion, EvalReport, PreviewRow, TrainResult
from lorasdk.run_folder import find_adapter_dir, recipe_dir_of
from lorasdk.stopping import StopToken
from lorasdk.train_options import TrainOptions
from lorasdk.tuner_state import OnEvent, TunerState

if TYPE_CHECKING:
    from lorasdk.inference.prompts import Prompt, Prompts


class FineTuner:
    """Trains one recipe's adapter and answers with it, inside somebody's program.

    Make one with `from_recipe` or `from_adapter`. It may be shared by threads: answers are computed one after the
    other; while a training runs, everything else is refused with an error that says so. It keeps the model in memory
    until `close`, or the end of a ``with`` block.
    """

    def __init__(
        self,
        recipe: Recipe,
        manager: Manager,
        *,
        rows: Mapping[str, Iterable[Row]],
        trust_remote_code: bool,
        adapter_dir: Path | None = None,
        allow_base_mismatch: bool = False,
    ) -> None:
        """Not for callers: `from_recipe` and `from_adapter` say what is needed."""
        # An adapter may answer long after the rows it was trained on are gone.
        self._state = TunerState(
            resolve(recipe, manager, rows, check_data=adapter_dir is None),
            manager,
            handed_over=frozenset(rows),
            trust_remote_code=trust_remote_code,
            adapter_dir=adapter_dir,
            allow_base_mismatch=allow_base_mismatch,
        )

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
        data: Mapping[str, Iterable[Row]] | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Read a recipe and find everything it names; nothing heavy is imported and no row is read yet.

        Args:
            recipe: a path, YAML or JSON text, a mapping, or a `Recipe`.
            overrides: ``["lora.rank=4"]`` or ``{"lora.rank": 4}``.
            plugins: objects with hook implementations, beside the installed packages.
            discover: whether installed plugin packages are loaded.
            blocked: entry-point names that are never imported.
            allowed: when given, the only entry-point names that are imported.
            data: rows in memory by split (``train``, ``validation``, ``test``); they replace the recipe's sources.
            trust_remote_code: run Python code that comes with the base model; a recipe cannot ask for it.

        Raises:
            RecipeError: the recipe's text or values.
            PluginError: a component that nobody offers.
            DataError: a file that does not exist.
            ModelError: a base model that cannot be there.
        """
        loaded = load_recipe(recipe, overrides=overrides)
        manager = build_manager(plugins, discover=discover, blocked=blocked, allowed=allowed)
        return cls(loaded, manager, rows=data or {}, trust_remote_code=trust_remote_code)

    @classmethod
    def from_adapter(
        cls,
        path: str | os.PathLike[str],
        *,
        overrides: Overrides = (),
        plugins: Iterable[object] = (),
        discover: bool = True,
        blocked: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        data: Mapping[str, Iterable[Row]] | None = None,
        allow_base_mismatch: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Open a saved adapter, in another process or on another day; the recipe comes from its passport.

        Args:
            path: an adapter folder, a run's folder, or the folder of a recipe's runs (the latest is taken).
            overrides: changes to the passport's recipe, such as ``base_model.source`` on another machine.
            plugins: as in `from_recipe`.
            discover: as in `from_recipe`.
            blocked: as in `from_recipe`.
            allowed: as in `from_recipe`.
            data: rows for `evaluate` that replace those of the recipe.
            allow_base_mismatch: answer although the base model's weights are not those the adapter was trained on.
            trust_remote_code: as in `from_recipe`.

        Raises:
            AdapterError: there is no adapter, or it is damaged.
            LorasdkError: as `from_recipe`.
        """
        from lorasdk.artifacts.passport import read_passport

        adapter_dir = find_adapter_dir(Path(path).expanduser().absolute())
        base_dir = recipe_dir_of(adapter_dir)
        recipe = load_recipe(read_passport(adapter_dir).recipe, overrides=overrides)
        if base_dir is not None:
            recipe = recipe.with_base_dir(base_dir)
        return cls(
            recipe,
            build_manager(plugins, discover=discover, blocked=blocked, allowed=allowed),
            rows=data or {},
            trust_remote_code=trust_remote_code,
            adapter_dir=adapter_dir,
            allow_base_mismatch=allow_base_mismatch,
        )

    @property
    def recipe(self) -> Recipe:
        """The recipe, overrides applied."""
        return self._state.resolved.recipe

    def preview(self, rows: int = 3) -> tuple[PreviewRow, ...]:
        """The first `rows` rows of each split as the model will see them, trained tokens told apart.

        The masks of all rows are proved on the way, as before a training.
        """
        from lorasdk.data.previewing import preview_rows

        emit = self._state.emitter(None)
        bench = self._state.bench(emit)
        prepared = bench.prepare(self._state.read(emit), emit)
        return tuple(row for split in prepared.values() for row in preview_rows(split, bench.encoder, rows))

    def train(self, *, on_event: OnEvent | None = None, stop: StopToken | None = None) -> TrainResult:
        """Train an adapter from the start and save it in a new folder under the recipe's ``output_dir``.

        Args:
            on_event: called with every event, in the calling thread.
            stop: looked at before each forward pass; when thrown, what was learnt so far is saved and returned.

        Raises:
            DataError: rows cannot be used or a mask cannot be proved.
            ModelError: the base model cannot be loaded or adapted.
            TrainingError: a loss is not finite, or a training of this tuner is running already.
            ResourceError: memory or disk.
        """
        return self._state.train(self._state.emitter(on_event), stop or StopToken(), TrainOptions())

    def infer(
        self, prompt: Prompts, *, adapter: bool = True, on_event: OnEvent | None = None, **generation: object
    ) -> Completion | list[Completion]:
        """Answer a prompt, or a list of prompts together.

        Args:
            prompt: a text (one user turn), a conversation (`Message`s or mappings with ``role`` and ``content``), or
                a list of either.
            adapter: False answers with the untouched base model.
            on_event: hears progress.
            generation: fields of the recipe's ``generation`` section for this call, such as ``max_new_tokens=20``.

        Returns:
            One `Completion` for one prompt, a list in the given order for a list.

        Raises:
            InferenceError: an empty or too long prompt, a bad setting, or no adapter yet.
            AdapterError: the saved adapter does not fit the base model or its template.
        """
        from lorasdk.inference.prompts import conversations

        turns, single = conversations(prompt)
        emit = self._state.emitter(on_event)
        answers = self._state.predictor(generation, adapter=adapter, emit=emit).complete(turns)
        return answers[0] if single else answers

    def stream(self, prompt: Prompt, *, adapter: bool = True, **generation: object) -> Iterator[str]:
        """Answer one prompt piece by piece; closing the iterator early ends the work.

        Args and errors are those of `infer`.
        """
        from lorasdk.inference.prompts import conversation

        turns = conversation(prompt)
        emit = self._state.emitter(None)
        return self._state.predictor(generation, adapter=adapter, emit=emit).stream(turns)

    def evaluate(self, *, on_event: OnEvent | None = None, stop: StopToken | None = None) -> EvalReport:
        """Score the untouched base model and the adapter on the test rows, with the recipe's evaluators.

        Raises:
            DataError: the recipe has no test rows, or they are not those the adapter's passport names.
            InferenceError: there is no adapter yet, or `stop` was thrown.
        """
        from lorasdk.evaluation.comparing import compare

        emit = self._state.emitter(on_event)
        tuned = self._state.predictor({}, adapter=True, emit=emit, stop=stop, label="tuned")
        base = self._state.predictor({}, adapter=False, emit=emit, stop=stop, label="base")
        examples = self._state.test_examples(emit)
        return compare(examples, self._state.resolved.evaluators, base=base, tuned=tuned)

    def export(self, folder: str | os.PathLike[str], *, on_event: OnEvent | None = None) -> Path:
        """Write base model and adapter merged into one ordinary model that transformers loads.

        Merged in full precision, also after a quantised training; the written model is reloaded and its
        log-probabilities on fixed prompts are compared with those of base and adapter (at most 1e-3 nats apart).

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
