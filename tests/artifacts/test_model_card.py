from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from made_passport import ABSOLUTE, OUTPUT, RELATIVE, TRAINING, made_passport
from tiny_training import ROWS, tiny_recipe

from lorasdk import FineTuner
from lorasdk.artifacts.model_card import model_card, write_model_card
from lorasdk.artifacts.passport import read_passport
from lorasdk.checkpoints import whole_file
from lorasdk.errors import Problem, ResourceError
from lorasdk.eval_report import (
    AnswerPair,
    Baseline,
    ClassScore,
    EvalReport,
    Forgetting,
    Interval,
    LabelReport,
    Overlap,
    Score,
)

BETTER = Score(
    "exact_match", 0.25, 0.75, (0, 1) * 120, (1, 0) * 120, True, Interval(0.41, 0.58), 0.000123, "better", None
)
UNSURE = Score(
    "perplexity (2)", 3.5, 3.4, (3.5,) * 240, (3.4,) * 240, False, Interval(-0.3, 0.1), None, "no evidence", 900
)
OWN = Score("benchmark", 0.5, 0.5, (0, 1), (1, 0))
REPORT = EvalReport(
    240,
    (BETTER, UNSURE, OWN),
    12.5,
    failures=(Problem("plugin.evaluator-failed", f"could not open {ABSOLUTE}", place="/home/anna/recipe.yaml:9:5"),),
    answers=(AnswerPair(1, "Anna's question", "Anna's answer", "base's answer", "tuned's answer"),),
    labels=LabelReport(
        (ClassScore("Anna's label", 240, 0.25, 0.75),),
        ((1, 1),),
        ((1, 1),),
        (Baseline("bag of words", 0.7, Interval(-0.02, 0.12), "no evidence"),),
    ),
    overlap=Overlap(12, 0.05),
    forgetting=Forgetting(32, 0.0123, 2.5, 2.75, bound=0.01),
)


def data(text: str) -> dict[str, object]:
    return ModelCard(text).data.to_dict()


def line(text: str, name: str) -> list[str]:
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", text, re.MULTILINE)
    return found.split(" | ")


def test_the_head_is_what_the_hub_reads():
    found = data(model_card(made_passport(), None))
    assert found == {
        "base_model": "org/base",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "lorasdk", "qlora"],
    }


@pytest.mark.parametrize(
    ("identity", "shown"),
    [
        ("folder:/home/anna/models/tiny", "`tiny` (a local folder)"),
        ("gguf:C:\\models\\tiny.gguf", "`tiny.gguf` (a local GGUF file)"),
        ("package:dist/tiny.gguf", "`dist/tiny.gguf` (a file of a Python distribution)"),
        ("vault:https://anna:pw@host/x", "a model of the source `vault`"),
    ],
)
def test_a_base_model_that_is_not_from_the_hub_is_no_hub_id(identity: str, shown: str):
    text = model_card(made_passport(identity=identity), REPORT)
    assert "base_model" not in data(text)
    assert f"- {shown}\n" in text
    assert not re.search("anna|C:|pw@", text)


def test_results_stand_in_the_hubs_index_with_rows_base_and_interval():
    (index,) = data(model_card(made_passport(), REPORT))["model-index"]
    rows, own = index["results"]
    assert index["name"] == "ticket-teams"
    assert rows["dataset"]["args"] == {"rows": 240, "sha256": "5" * 64}
    assert rows["metrics"][0] == {
        "type": "exact_match",
        "value": 0.75,
        "name": "exact_match",
        "args": {
            "base": 0.25,
            "change_interval": [0.41, 0.58],
            "confidence": 0.95,
            "higher_is_better": True,
            "p_value": 0.000123,
            "verdict": "better",
        },
    }
    assert (rows["metrics"][1]["type"], rows["metrics"][1]["name"]) == ("perplexity", "perplexity (2)")
    assert (own["dataset"]["type"], own["dataset"]["args"]) == ("benchmark", {"rows": 2})


def test_the_hubs_own_reader_finds_the_results():
    found = ModelCard(model_card(made_passport(), REPORT)).data.eval_results
    assert [(result.metric_name, result.metric_value) for result in found] == [
        ("exact_match", 0.75),
        ("perplexity (2)", 3.4),
        ("benchmark", 0.5),
    ]


def test_the_table_says_verdicts_and_how_many_rows_it_would_take():
    text = model_card(made_passport(), REPORT)
    better = ["0.250", "0.750", "+0.500", "+0.410 to +0.580", "better", "higher", "240"]
    assert line(text, "exact_match") == better
    assert line(text, "perplexity (2)")[4:6] == ["no evidence (900 rows needed)", "lower"]
    assert line(text, "benchmark")[3:5] == ["", "not tested"]
    assert line(text, "bag of words") == ["0.700", "-0.020 to +0.120", "no evidence"]


def test_how_it_was_trained_is_told():
    text = model_card(made_passport(), None)
    assert line(text, "steps") == ["150; the weights are those of step 120"]
    assert line(text, "LoRA") == [r"rank 8, alpha 16, on layers\.1\.(q\|v)_proj, o_proj"]
    assert line(text, "trained parameters") == ["4,884,480 of 139,399,488 (3.50%)"]
    assert line(text, "train rows") == ["1,600; 8,000 of 80,000 tokens are answers"]
    assert line(text, "peak memory") == ["2.20 GB"]
    assert line(text, "versions") == ["python 3.11.7, lorasdk 0.1.0, torch 2.9.0+cpu"]
    assert "The same recipe ends with these bits" in text


def test_what_is_not_known_or_not_good_is_said():
    bare = model_card(made_passport(), None)
    assert "nothing here says that it is better" in bare
    assert "no longer can was not measured" in bare
    assert "licences of the base model and of the rows are not recorded" in bare
    told = model_card(made_passport(), REPORT)
    assert "12 of the test rows (5.0%)" in told
    assert "more than the recipe allows" in told
    assert "no result: plugin.evaluator-failed" in told


def test_changes_of_a_resumed_run_are_told():
    changed = TRAINING.model_copy(
        update={"bit_exact": False, "changes": ("machine.cpu", "training.seed"), "loss": None, "stopped": "requested"}
    )
    text = model_card(made_passport(training=changed), None)
    assert "other conditions (machine.cpu, training.seed)" in text
    assert line(text, "ended") == ["early, on request"]
    assert "| loss |" not in text


@pytest.mark.parametrize("identity", ["hub:org/base", "folder:/home/anna/models/tiny"])
def test_P94_no_path_row_answer_or_message_gets_into_the_card(tmp_path: Path, identity: str):
    text = write_model_card(tmp_path, made_passport(identity=identity), REPORT).read_text("utf-8")
    private = [
        ABSOLUTE,
        RELATIVE,
        OUTPUT,
        "rows.jsonl",
        "inputs",
        "/home",
        "/mnt",
        "anna",
        "recipe.yaml",
        str(tmp_path),
    ]
    assert [word for word in private if word in text.lower() or word in text] == []
    assert "tuned's answer" not in text


def test_P94_the_card_of_a_trained_adapter_names_no_path(tiny_model_dir: Path, tmp_path: Path):
    (tmp_path / "private-rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    rows = str(tmp_path / "private-rows.jsonl")
    recipe = tiny_recipe(tiny_model_dir, tmp_path / "private-runs", data={"train": rows})
    with FineTuner.from_recipe(recipe, discover=False) as tuner:
        folder = tuner.train().adapter_dir
    text = (folder / "README.md").read_text("utf-8")
    assert text == model_card(read_passport(folder), None)
    assert [word for word in (str(tmp_path), str(tiny_model_dir.parent), "private") if word in text] == []


def test_programs_on_the_card_are_python_and_name_the_base():
    text = model_card(made_passport(), None)
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert [compile(program, "card", "exec") is None for program in programs] == [False, False]
    assert 'from_pretrained("org/base", revision="1234abcd")' in programs[1]
    local = model_card(made_passport(identity="gguf:models/x.gguf"), None)
    assert 'overrides={"base_model.source": "BASE"})' in local
    assert 'from_pretrained("BASE", gguf_file="x.gguf")' in local


def test_the_same_passport_and_report_give_the_same_card(tmp_path: Path):
    first = write_model_card(tmp_path, made_passport(), None).read_bytes()
    write_model_card(tmp_path, made_passport(), REPORT)
    assert write_model_card(tmp_path, made_passport(), None).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_tables_and_lists_are_not_torn_apart():
    text = model_card(made_passport(), REPORT)
    assert "\n\n\n" not in text
    assert re.findall(r"^\|.*[^|\n]$", text, re.MULTILINE) == []
    assert text.endswith(".\n")


def test_a_disk_that_refuses_is_an_error_of_ours_and_leaves_the_old_card(tmp_path: Path, monkeypatch):
    before = write_model_card(tmp_path, made_passport(), None).read_bytes()

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file, "flush", full)
    with pytest.raises(ResourceError) as caught:
        write_model_card(tmp_path, made_passport(), REPORT)
    assert caught.value.code == "adapter.disk"
    assert (tmp_path / "README.md").read_bytes() == before
