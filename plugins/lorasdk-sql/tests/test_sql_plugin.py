import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import lorasdk_sql
import pytest

from lorasdk import DataError, FineTuner, RecipeError
from lorasdk.data.sources import read_splits
from lorasdk.plugins import build_manager
from lorasdk.recipe import load_recipe
from lorasdk.resolving import resolve
from lorasdk.testing import check_plugin

RECIPE = """\
name: faq
data:
  train:
    loader: sql
    path: faq.db
    query: >
      SELECT question AS instruction, answer AS output FROM faq
      WHERE id <= :most AND question LIKE :like ORDER BY id
    parameters: {most: 4, like: "question%"}
  test: {loader: sql, path: faq.db, query: "SELECT question AS prompt, answer AS completion FROM faq ORDER BY id DESC"}
"""


@pytest.fixture
def folder(sqlite_file: Path) -> Path:
    sqlite_file.rename(sqlite_file.parent / "faq.db")
    return sqlite_file.parent


def written(folder: Path, recipe: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(recipe)
    return path


def refused(path: Path, kind=RecipeError):
    with pytest.raises(kind) as caught:
        FineTuner.from_recipe(path, plugins=[lorasdk_sql.plugin], discover=False)
    return [(problem.code, problem.place.removeprefix(str(path)), problem.field) for problem in caught.value.problems]


def test_a_recipe_gets_its_examples_from_a_database(folder: Path):
    recipe = load_recipe(written(folder, RECIPE))
    resolved = resolve(recipe, build_manager([lorasdk_sql.plugin], discover=False), {})
    notices: list[object] = []
    splits = read_splits(resolved.sources, recipe.data, seed=0, emit=notices.append)
    assert [example.reference for example in splits["train"].items] == [f"answer {i}" for i in (1, 2, 3, 4)]
    assert splits["test"].items[0].prompt[0].content == "question 10"
    assert len(splits["test"].items) == 10


def test_a_url_in_a_recipe_is_refused_wherever_it_may_hold_a_password(folder: Path):
    url = RECIPE.replace("    path: faq.db", "    url: postgresql://u:hunter2@h/d", 1)
    assert refused(written(folder, url)) == [("recipe.literal-secret", ":5:10", "data.train.url")]


def test_a_url_comes_from_the_environment(folder: Path, monkeypatch):
    path = written(folder, RECIPE.replace("    path: faq.db", "    url: ${env:FAQ_DB}", 1))
    assert refused(path) == [("recipe.undefined-variable", ":5:10", "data.train.url")]
    monkeypatch.setenv("FAQ_DB", f"sqlite:///{folder}/absent.db")
    assert refused(path, DataError) == [("sql.no-file", ":4:5", "data.train.url")]
    monkeypatch.setenv("FAQ_DB", f"sqlite:///{folder}/faq.db")
    FineTuner.from_recipe(path, plugins=[lorasdk_sql.plugin], discover=False)


def test_options_that_contradict_each_other_are_refused_with_their_place(folder: Path):
    neither = RECIPE.replace("    path: faq.db\n", "", 1)
    ((code, place, field),) = refused(written(folder, neither))
    assert (code.split(".")[0], place, field) == ("recipe", ":4:5", "data.train")


def test_the_plugin_honours_what_every_plugin_must(sqlite_file: Path):
    query = "SELECT question AS instruction, answer AS output FROM faq WHERE id <= :most ORDER BY id"
    options = {"path": str(sqlite_file), "query": query, "parameters": {"most": 5}}
    check_plugin(lorasdk_sql.plugin, options={"sql": options})


def test_the_package_registers_its_loader():
    (entry,) = entry_points(group="lorasdk", name="loader.sql")
    assert entry.dist is not None
    assert entry.dist.name == "lorasdk-sql"
    assert entry.load() is lorasdk_sql.plugin


def test_importing_the_package_and_its_plugin_does_not_import_sqlalchemy():
    code = "import sys, lorasdk_sql; lorasdk_sql.plugin.data_loaders(); print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
