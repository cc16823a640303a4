"""The second gate: ties a recipe to what plugins offer, and checks that files exist. No torch, no rows read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasdk.builtin.reference import split_reference
from lorasdk.contracts import VALIDATION_METRICS, Evaluator, ModelSource, Row, SourceRequest
from lorasdk.data.sources import SPLITS, BoundSource, bind_loader, bind_rows
from lorasdk.errors import DataError, LorasdkError, ModelError, PluginError, Problem, RecipeError
from lorasdk.plugins import Manager
from lorasdk.recipe import Recipe, validate_options
from lorasdk.recipe.schema import DataSource


@dataclass(frozen=True)
class BoundEvaluator:
    """An evaluator with its validated options, and where it stands in the recipe."""

    evaluator: Evaluator
    options: Any
    base_dir: Path
    place: str


@dataclass(frozen=True)
class Resolved:
    """A recipe whose components are found and whose options are valid."""

    recipe: Recipe
    sources: Mapping[str, BoundSource]
    evaluators: tuple[BoundEvaluator, ...]
    model_source: ModelSource
    request: SourceRequest
    higher_is_better: bool
    missing: LorasdkError | None = None
    """What rows and scores need and nobody offers, where only answers were asked for."""

    @property
    def metric_evaluator(self) -> BoundEvaluator | None:
        """The evaluator behind the watched metric, if it is one; what every validation has keeps its meaning."""
        metric = self.recipe.training.metric
        named = (bound for bound in self.evaluators if bound.evaluator.name == metric)
        return None if metric in VALIDATION_METRICS else next(named, None)


def resolve(
    recipe: Recipe,
    manager: Manager,
    rows: Mapping[str, Iterable[Row]],
    *,
    check_data: bool = True,
    check_model: bool = True,
) -> Resolved:
    """Find every component that the recipe names.

    Args:
        recipe: a valid recipe.
        manager: what plugins offer.
        rows: rows handed over in memory, by split; they replace the recipe's source.
        check_data: also ask loaders whether their files exist; otherwise what is missing for rows and scores is kept
            as `Resolved.missing`, since a saved adapter answers without them.
        check_model: also ask the model source whether the base model is there.

    Raises:
        LorasdkError: all problems together, of the type of the first.
    """
    gate = _Gate()
    scoring = gate if check_data else _Gate()
    sources = _sources(recipe, manager, rows, scoring, check_data=check_data)
    evaluators = _evaluators(recipe, manager, scoring)
    model = gate.catch(lambda: _model_source(recipe, manager))
    if model is not None and check_model:
        gate.note(ModelError, model[0].check(model[1]))
    higher = scoring.catch(lambda: _direction(recipe, evaluators))
    gate.settle()
    assert model is not None
    return Resolved(recipe, sources, evaluators, model[0], model[1], bool(higher), scoring.error)


class _Gate:
    """Goes on after a problem, and raises all of them at the end."""

    def __init__(self) -> None:
        self.kinds: list[type[LorasdkError]] = []
        self.problems: list[Problem] = []

    def catch(self, work: Any) -> Any:  # noqa: ANN401 - gives what `work` gives, or None
        try:
            return work()
        except LorasdkError as error:
            self.note(type(error), error.problems)
            return None

    def note(self, kind: type[LorasdkError], problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.kinds.append(kind)
            self.problems.append(problem)

    @property
    def error(self) -> LorasdkError | None:
        return self.kinds[0](*self.problems) if self.problems else None

    def settle(self) -> None:
        if self.error is not None:
            raise self.error


def _sources(
    recipe: Recipe, manager: Manager, rows: Mapping[str, Iterable[Row]], gate: _Gate, *, check_data: bool
) -> dict[str, BoundSource]:
    unknown = sorted(set(rows) - set(SPLITS))
    if unknown:
        gate.note(DataError, [_unknown_split(unknown)])
    bound: dict[str, BoundSource] = {}
    for split in SPLITS:
        source = getattr(recipe.data, split)
        if split in rows:
            plain = source if isinstance(source, DataSource) else DataSource()
            found = gate.catch(lambda split=split, plain=plain: (bind_rows(split, plain, rows[split]), []))
            bound.update({split: found[0]} if found is not None else {})
        elif isinstance(source, DataSource):
            found = gate.catch(lambda split=split, source=source: _bind(recipe, manager, split, source))
            if found is not None:
                bound[split] = found[0]
                gate.note(DataError, found[1] if check_data else [])
    if "train" not in rows and recipe.data.train is None and check_data:
        gate.note(RecipeError, [_no_training_rows(recipe)])
    return bound


def _no_training_rows(recipe: Recipe) -> Problem:
    return Problem(
        code="recipe.no-training-rows",
        message="there are no training rows",
        place=recipe.place("data"),
        field="data.train",
        allowed="a source in the recipe, or rows in memory",
        fix="add data: {train: rows.jsonl}, or call FineTuner.from_recipe(…, data={'train': rows})",
    )


def _bind(recipe: Recipe, manager: Manager, split: str, source: DataSource) -> tuple[BoundSource, list[Problem]]:
    where = ("data", split)
    loader = manager.loaders.find(source.loader, place=recipe.place(*where, "loader"), field=f"data.{split}.loader")
    options = validate_options(loader.Options, source.options, recipe=recipe, location=where)
    place = recipe.place(*where)
    try:
        return bind_loader(split, source, loader, options, base_dir=recipe.base_dir, place=place)
    except LorasdkError:
        raise
    except Exception as error:  # the loader is somebody else's code
        raise PluginError(_check_failed(source.loader, split, place, error)) from error


def _check_failed(loader: str, split: str, place: str, error: Exception) -> Problem:
    return Problem(
        code="plugin.check-failed",
        message=f"the data loader {loader!r} failed in its check: {type(error).__name__}: {error}",
        place=place,
        field=f"data.{split}",
        allowed="a list of problems, empty when there are none",
        fix="repair the loader's check method",
    )


def _evaluators(recipe: Recipe, manager: Manager, gate: _Gate) -> tuple[BoundEvaluator, ...]:
    found = []
    for i, spec in enumerate(recipe.evaluation.evaluators):
        where = ("evaluation", "evaluators", i)

        def bind(spec: Any = spec, where: Any = where) -> BoundEvaluator:  # noqa: ANN401
            field = f"evaluation.evaluators.{where[-1]}.name"
            place = recipe.place(*where)
            evaluator = manager.evaluators.find(spec.name, place=place, field=field)
            options = validate_options(evaluator.Options, spec.options, recipe=recipe, location=where)
            return BoundEvaluator(evaluator, options, recipe.base_dir, place)

        bound = gate.catch(bind)
        found += [bound] if bound is not None else []
    return tuple(found)


def _model_source(recipe: Recipe, manager: Manager) -> tuple[ModelSource, SourceRequest]:
    section, place = recipe.base_model, recipe.place("base_model", "source")
    name, reference = split_reference(section.source, recipe.base_dir, known=manager.sources.names)
    source = manager.sources.find(name, place=place, field="base_model.source")
    request = SourceRequest(reference, section.revision, recipe.base_dir, place, section.token)
    return source, request


def _direction(recipe: Recipe, bound: Iterable[BoundEvaluator]) -> bool:
    evaluators = [each.evaluator for each in bound]
    known = {**{one.name: one.higher_is_better for one in evaluators}, **VALIDATION_METRICS}
    metric = recipe.training.metric
    if metric in known:
        return known[metric]
    raise RecipeError(
        Problem(
            code="training.unknown-metric",
            message=f"no validation metric is called {metric!r}",
            place=recipe.place("training", "metric"),
            field="training.metric",
            found=repr(metric),
            allowed=", ".join(known),
            fix="correct the name, or list the evaluator under evaluation.evaluators",
        )
    )


def _unknown_split(names: list[str]) -> Problem:
    return Problem(
        code="data.unknown-split",
        message=f"data={{…}} names no split: {', '.join(names)}",
        field="data",
        allowed=", ".join(SPLITS),
        fix="rename the key",
    )
