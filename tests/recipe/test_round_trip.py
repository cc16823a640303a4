"""What is written reads back, and nothing that is read can do worse than a `LorasdkError`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorasdk.errors import LorasdkError
from lorasdk.recipe import Recipe, load_recipe

words = st.text(min_size=1, max_size=12).filter(lambda text: not text.startswith("${env:") and "${env:" not in text)
tricky = st.sampled_from(
    ["no", "null", "~", "1e5", ".5e3", "0x1", "2024-01-01", "a: b", "# c", "- x", " ", "\n", "'", '"', "é\u2028"]
)
text = words | tricky
counts = st.integers(1, 10**9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
own_keys = {"loader", "format", "columns", "max_rows"}
options = st.dictionaries(text.filter(lambda key: key not in own_keys | {"name"}), json_values, max_size=3)
sources = st.builds(
    lambda options, path, columns, rows: {**options, **path, "columns": columns, "max_rows": rows},
    options,
    st.just({}) | st.fixed_dictionaries({"path": text}),
    st.dictionaries(text, text, max_size=2),
    st.none() | counts,
)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
held_out = st.none() | shares | counts | text | sources.map(lambda source: {"loader": "file", **source})
recipes = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,10}\Z"),
        "output_dir": text,
        "data": st.fixed_dictionaries({"train": text | sources, "validation": held_out, "test": held_out}),
        "lora": st.fixed_dictionaries(
            {
                "rank": st.integers(1, 4096),
                "alpha": st.floats(0, 10**6, exclude_min=True),
                "targets": text | st.lists(text, min_size=1, max_size=3),
                "rank_pattern": st.dictionaries(text, st.integers(1, 4096), max_size=2),
                "layers": st.none() | st.lists(st.integers(0, 99), min_size=1, max_size=3),
            }
        ),
        "training": st.fixed_dictionaries(
            {
                "epochs": st.none() | st.floats(0, 10_000, exclude_min=True),
                "learning_rate": st.floats(0, 1, exclude_min=True),
                "max_grad_norm": st.none() | st.floats(0.1, 9),
                "seed": st.integers(0, 2**63 - 1),
            }
        ),
        "evaluation": st.fixed_dictionaries(
            {
                "evaluators": st.lists(
                    text | st.builds(lambda name, rest: {**rest, "name": name}, text, options), max_size=2
                )
            }
        ),
        "generation": st.fixed_dictionaries({"stop": st.lists(text, max_size=3)}),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipes)
def test_a_recipe_that_is_written_reads_back_equal_with_the_same_fingerprint(values):
    recipe = Recipe.model_validate(values)
    again = load_recipe(recipe.to_yaml())
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert again.to_yaml() == recipe.to_yaml()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("any") / "r.yaml"


def reads_or_refuses(source) -> None:
    with suppress(LorasdkError):
        load_recipe(source)


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_recipe_or_a_lorasdk_error(path, content):
    path.write_bytes(content)
    reads_or_refuses(path)


YAML = """version: 1|name: x|data:|train:|lora:|rank|: |:|[|]|{|}|,|&a |*a|!!x |!|>|'|"|#| #|---|...|? |- |<<|=|~|.nan
0o|-_|${env:X}|1e9|\\x|@|`|%YAML 1.2|999999999999999999999999999999"""
pieces = st.sampled_from(
    [*YAML.replace("\n", "|").split("|"), "|", "\n", "\n  ", "\n- ", "\t", "\r", "\x85", "\ud7ff", "é"]
)


@settings(max_examples=200, deadline=None)
@given(content=st.lists(pieces | st.text(max_size=3), max_size=25).map("".join))
def test_any_text_gives_a_recipe_or_a_lorasdk_error(content):
    reads_or_refuses("version: 1\n" + content)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["name", "data", "lora", "training", "evaluation", "base_model", "x"]), json_values)
)
def test_any_mapping_gives_a_recipe_or_a_lorasdk_error(values):
    reads_or_refuses(values)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(max_size=20)
        | st.builds("{}={}".format, st.sampled_from(["lora", "lora.rank", "data.train.x"]), st.text(max_size=8))
    )
)
def test_any_overrides_give_a_recipe_or_a_lorasdk_error(overrides):
    with suppress(LorasdkError):
        load_recipe({"name": "x", "data": {"train": "a"}}, overrides=overrides)


def test_a_recipe_without_data_is_written_and_read_back():
    recipe = load_recipe({"name": "bare"})
    assert load_recipe(recipe.to_yaml()) == recipe
