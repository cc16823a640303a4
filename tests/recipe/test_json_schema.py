"""The JSON Schema for editors."""

from __future__ import annotations

import json

from pydantic import BaseModel

from lorasdk.recipe import recipe_schema


class File(BaseModel, extra="forbid"):
    """Rows of a file."""

    path: str


class Inner(BaseModel, extra="forbid"):
    depth: int = 1


class Hub(BaseModel, extra="forbid"):
    repository: str
    inner: Inner = Inner()


def test_the_output_is_deterministic_whatever_the_order_of_components():
    one = recipe_schema(loaders={"file": File, "hub": Hub})
    other = recipe_schema(loaders={"hub": Hub, "file": File})
    assert json.dumps(one) == json.dumps(other) == json.dumps(recipe_schema(loaders={"file": File, "hub": Hub}))


def test_sections_are_closed_and_every_field_is_described():
    schema = recipe_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, definition in {"Recipe": schema, **schema["$defs"]}.items():
        assert definition["additionalProperties"] is (name in {"DataSource", "EvaluatorSpec"}), name
        assert all(field.get("description") for field in definition["properties"].values()), name


def kinds(node):
    return [member.get("type", member.get("$ref")) for member in node.get("anyOf", node.get("oneOf", [node]))]


def test_short_forms_are_allowed():
    definitions = recipe_schema()["$defs"]
    data = definitions["DataSection"]["properties"]
    assert kinds(data["train"]) == ["string", "#/$defs/DataSource", "null"]
    assert kinds(data["validation"])[:3] == ["string", "number", "integer"]
    assert kinds(definitions["EvaluationSection"]["properties"]["evaluators"]["items"])[0] == "string"
    assert kinds(definitions["LoraSection"]["properties"]["targets"]) == ["array", "string"]


def test_a_token_is_a_reference():
    token = recipe_schema()["$defs"]["BaseModelSection"]["properties"]["token"]
    assert "env:" in json.dumps(token)


def test_options_are_tied_to_their_loader_and_file_is_meant_when_none_is_named():
    source = recipe_schema(loaders={"file": File, "hub": Hub})["$defs"]["DataSource"]
    assert source["properties"]["loader"]["enum"] == ["file", "hub"]
    file, hub = source["allOf"]
    assert file["if"] == {"properties": {"loader": {"const": "file"}}}
    assert hub["if"] == {"properties": {"loader": {"const": "hub"}}, "required": ["loader"]}
    assert file["then"]["required"] == ["path"]
    assert set(file["then"]["properties"]) == {"loader", "format", "columns", "max_rows", "path"}
    assert file["then"]["additionalProperties"] is False


def test_every_reference_of_a_component_resolves():
    schema = recipe_schema(loaders={"hub": Hub}, evaluators={"file": File})
    references = [part.split('"')[0] for part in json.dumps(schema).split('"$ref": "#/$defs/')[1:]]
    assert set(references) <= set(schema["$defs"])
    assert any("Inner" in reference for reference in references)
