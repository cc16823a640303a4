"""What becomes text in MLflow: parameters within its limits, reasons without credentials."""

from __future__ import annotations

from pathlib import Path

from lorasdk_mlflow.parameters import name_of, parameters, recipe_parameters
from lorasdk_mlflow.redacting import redacted, secrets_of, shown_uri


def test_nested_values_have_dotted_names():
    recipe = {"lora": {"rank": 8, "targets": ["q_proj", "v_proj"], "dora": False, "seed": None}, "name": "tiny"}
    assert parameters(recipe) == {
        "lora.rank": "8",
        "lora.targets": '["q_proj", "v_proj"]',
        "lora.dora": "false",
        "lora.seed": "null",
        "name": "tiny",
    }


def test_lists_of_mappings_are_numbered():
    evaluators = {"evaluation": {"evaluators": [{"name": "choice"}, {"name": "judge", "rubric": "kind?"}]}}
    assert parameters(evaluators)["evaluation.evaluators.1.rubric"] == "kind?"


def test_long_values_and_strange_names_fit():
    ((name, value),) = parameters({"a(b)": "x" * 9000}).items()
    assert name == "a_b_"
    assert len(value) == 500
    assert len(name_of("n" * 400)) == 250
    assert parameters({"path": "a\udcffb"}) == {"path": "a?b"}


def test_a_recipe_that_cannot_be_read_is_told_and_costs_nothing_else(tmp_path: Path, caplog):
    assert recipe_parameters(tmp_path) == {}
    (tmp_path / "recipe.yaml").write_text("a: [")
    assert recipe_parameters(tmp_path) == {}
    assert len(caplog.records) == 2


def test_P94_credentials_of_any_address_are_cut_out():
    assert redacted("cannot reach http://ann:hunter2@host:5/x\n  at all") == "cannot reach http://host:5/x at all"
    assert (
        redacted("403 for url: https://bucket/x?X-Amz-Signature=f00d, sorry?") == "403 for url: https://bucket/x sorry?"
    )
    assert redacted("token abc was refused", ["abc", ""]) == "token *** was refused"
    assert len(redacted("x" * 9000)) == 400


def test_P94_secrets_of_an_address_are_its_password_in_either_spelling_and_its_query():
    found = secrets_of("mssql://ann:hunter%212@host/db?PWD=s3cret", {"MLFLOW_TRACKING_TOKEN": "t0ken"})
    assert found == ["hunter%212", "hunter!2", "PWD=s3cret", "t0ken"]
    assert shown_uri("https://ann:hunter2@host:5/base?token=x") == "https://host:5/base"
    assert shown_uri("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
