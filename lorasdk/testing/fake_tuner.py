"""A `FineTuner` with a fake engine: for the tests of programs that embed one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lorasdk.contracts import Row
from lorasdk.finetuner import FineTuner
from lorasdk.plugins import build_manager
from lorasdk.plugins.functions import RowsFunction, ScoreFunction, with_functions
from lorasdk.recipe import load_recipe
from lorasdk.recipe.loading import RecipeSource
from lorasdk.recipe.overrides import Overrides
from lorasdk.testing.fake_engine import FakeEngine
from lorasdk.tuner.opening import open_recipe


def fake_finetuner(
    recipe: RecipeSource,
    *,
    engine: FakeEngine | None = None,
    overrides: Overrides = (),
    plugins: Iterable[object] = (),
    discover: bool = False,
    loaders: Mapping[str, RowsFunction] | None = None,
    evaluators: Mapping[str, ScoreFunction] | None = None,
    data: Mapping[str, Iterable[Row]] | None = None,
) -> FineTuner:
    """What `FineTuner.from_recipe` gives, but that no model is loaded and nothing is computed.

    The recipe is read and checked as always, and its rows are loaded; only its base model need not exist.

    Args:
        recipe: as in `FineTuner.from_recipe`, and so are overrides, plugins, loaders, evaluators and data.
        engine: what is answered, and how trainings go.
        overrides: as in `FineTuner.from_recipe`.
        plugins: as in `FineTuner.from_recipe`.
        discover: whether installed plugin packages are found; a test is better off without them.
        loaders: as in `FineTuner.from_recipe`.
        evaluators: as in `FineTuner.from_recipe`.
        data: as in `FineTuner.from_recipe`.

    Raises:
        LorasdkError: as `FineTuner.from_recipe`.

    Example:
        >>> from lorasdk.testing import FakeEngine, fake_finetuner
        >>> rows = [{"instruction": "Is 4 even?", "output": "yes"}]
        >>> engine = FakeEngine(base_answers="4 is a number.")
        >>> tuner = fake_finetuner({"name": "parity"}, engine=engine, data={"train": rows})
        >>> tuner.infer("Is 4 even?", adapter=False).text
        '4 is a number.'
    """
    loaded = load_recipe(recipe, overrides=overrides)
    manager = build_manager(with_functions(plugins, loaders=loaders, evaluators=evaluators), discover=discover)
    rooms = engine or FakeEngine()
    return FineTuner(open_recipe(loaded, manager, rows=data or {}, trust_remote_code=False, rooms=rooms))
