"""Text to plain data: positions, YAML 1.2, duplicates, tags, bombs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lorasdk.errors import RecipeError
from lorasdk.recipe.reading import read_document


def problems(text: str):
    with pytest.raises(RecipeError) as caught:
        read_document(text, name="r.yaml")
    return caught.value.problems


def test_places_of_keys_and_values_are_line_and_column():
    document = read_document("data:\n  train: rows.jsonl\n  stop: [a, b]\n", name="r.yaml")
    assert document.keys["data", "train"] == "r.yaml:2:3"
    assert document.values["data", "train"] == "r.yaml:2:10"
    assert document.values["data", "stop", 1] == "r.yaml:3:13"


def test_json_is_read_with_the_same_places_even_when_indented_with_tabs():
    document = read_document('{\n\t"data": {\n\t\t"train": "a\\u00e9\\ud83d\\ude00"\n\t}\n}', name="r.json")
    assert document.data == {"data": {"train": "aé😀"}}
    assert document.values["data", "train"] == "r.json:3:12"


def test_an_alias_is_its_value_again():
    assert read_document("a: &x {b: 1}\nc: *x\n", name="r").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_an_alias_inside_its_own_value_is_refused():
    (problem,) = problems("a: &x [*x]\n")
    assert problem.code == "recipe.unknown-alias"
    assert problem.place == "r.yaml:1:8"


def test_R1_syntax_error_points_at_line_and_column_with_a_caret():
    (problem,) = problems("version: 1\nname: a: b\n")
    assert problem.code == "recipe.syntax"
    assert problem.place == "r.yaml:2:8"
    line, caret = problem.found.splitlines()[-2:]
    assert line.strip() == "name: a: b"
    assert caret.index("^") - line.index("name") == 7


def test_R1_an_unclosed_quote_is_shown_where_it_was_opened():
    (problem,) = problems('version: 1\nlora: {init: "pissa}\nname: x\n')
    assert problem.place == "r.yaml:2:14"
    assert "pissa" in problem.found


def test_R1_a_control_character_is_named_with_its_place():
    (problem,) = problems("version: 1\nname: a\x00b\n")
    assert problem.place == "r.yaml:2:8"
    assert "U+0000" in problem.message


@pytest.mark.parametrize("text", ["data:\n\ttrain: a\n", "lora:\n  rank: 4\n\talpha: 3\n", "data:\n  \ttrain: {\n"])
def test_R2_tab_indentation_is_called_a_tab(text):
    (problem,) = problems(text)
    line = next(i for i, part in enumerate(text.splitlines(), 1) if "\t" in part)
    assert problem.code == "recipe.tab"
    assert problem.message.startswith(f"tab at line {line}")
    assert "\\t" not in str(problem)


def test_R3_every_duplicate_key_is_reported_with_both_lines():
    first, second = problems("lora:\n  rank: 4\n  rank: 8\nname: a\nname: b\n")
    assert (first.field, first.place) == ("lora.rank", "r.yaml:3:3")
    assert "r.yaml:2:3" in first.message
    assert (second.field, second.place) == ("name", "r.yaml:5:1")
    assert "r.yaml:4:1" in second.message


def test_R3_quoted_and_escaped_spellings_are_the_same_key():
    (problem,) = problems('{"rank": 1, "r\\u0061nk": 2}')
    assert problem.code == "recipe.duplicate-key"


def bomb() -> str:
    levels = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))
    return "a: &a [x, x, x, x, x, x, x, x, x]\n" + levels


MEASURE = """
import resource, sys, time
from lorasdk.errors import RecipeError
from lorasdk.recipe.reading import read_document
read_document("a: 1", name="warm-up")
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    read_document(sys.stdin.read(), name="r")
except RecipeError as error:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sys.stdout.write(f"{error.code} {time.perf_counter() - began} {grown}")
"""


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        '{"a":' * 10_000,
        "- " * 10_000,
        bomb(),
        "[" + "a, " * 80_000 + "]",
        "# " + "x" * 5_000_000,
    ],
    ids=["flow", "json", "block", "aliases", "values", "text"],
)
def test_R16_depth_and_alias_bombs_are_refused_at_once_and_without_memory(text):
    done = subprocess.run([sys.executable, "-c", MEASURE], input=text, capture_output=True, text=True, check=True)
    code, seconds, kibibytes = done.stdout.split()
    assert code == "recipe.too-large"
    assert float(seconds) < 1
    assert int(kibibytes) < 50 * 1024


def test_R17_tags_are_refused_and_run_nothing(tmp_path):
    canary = tmp_path / "canary"
    found = problems(f"a: !!python/object/apply:os.system ['touch {canary}']\nb: !!python/name:os.system\nc: !x 1\n")
    assert [problem.code for problem in found] == ["recipe.tag"] * 3
    assert [problem.place for problem in found] == ["r.yaml:1:4", "r.yaml:2:4", "r.yaml:3:4"]
    assert not canary.exists()


def test_a_second_document_is_refused():
    (problem,) = problems("a: 1\n---\nb: 1\n")
    assert (problem.code, problem.place) == ("recipe.several-documents", "r.yaml:2:1")


def test_another_yaml_version_is_refused_because_it_reads_differently():
    (problem,) = problems("%YAML 1.1\n---\na: no\n")
    assert problem.code == "recipe.yaml-version"


def test_a_mapping_as_key_is_refused():
    (problem,) = problems("? {a: 1}\n: 2\n")
    assert problem.code == "recipe.key-not-text"


def test_a_secret_in_a_broken_line_is_not_quoted():
    (problem,) = problems("base_model:\n  token: hf_abcdefgh: x\n")
    assert "hf_abcdefgh" not in str(problem)
