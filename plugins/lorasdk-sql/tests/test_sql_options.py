import pytest
from lorasdk_sql import SqlOptions
from pydantic import ValidationError

QUERY = "SELECT 1 ORDER BY 1"


def refused(**options: object) -> str:
    with pytest.raises(ValidationError) as caught:
        SqlOptions.model_validate({"path": "a.db", "query": QUERY, **options})
    return str(caught.value)


def test_one_database_is_named():
    with pytest.raises(ValidationError, match="give url or path"):
        SqlOptions(query=QUERY)
    assert "give url or path" in refused(url="sqlite://")
    assert "null names no database" in refused(path=None)


def test_a_refusal_does_not_quote_the_url():
    with pytest.raises(ValidationError) as caught:
        SqlOptions.model_validate({"url": "postgresql://u:hunter2@h/d", "path": "a.db", "query": QUERY})
    assert "hunter2" not in str(caught.value)


def test_a_parameters_value_keeps_its_type():
    values = {"text": "1", "whole": 1, "part": 1.5, "yes": True, "none": None, "some": [1, "a"]}
    options = SqlOptions(path="a.db", query=QUERY, parameters=values)
    assert options.parameters == {**values, "some": (1, "a")}
    assert type(options.parameters["yes"]) is bool
    assert type(options.parameters["whole"]) is int


@pytest.mark.parametrize("value", [2**63, float("nan"), {"a": 1}, [[1]]])
def test_what_no_database_takes_is_no_parameter(value: object):
    assert "parameters" in refused(parameters={"x": value})


def test_a_parameters_name_is_one_word():
    assert "parameters" in refused(parameters={"a b": 1})


@pytest.mark.parametrize(
    "options", [{"fetch_size": 0}, {"timeout": 0}, {"timeout": "60"}, {"qurey": ""}, {"query": ""}]
)
def test_values_out_of_range_and_unknown_keys_are_refused(options: dict[str, object]):
    assert next(iter(options)) in refused(**options)
