"""The JSON Schema for editors."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from builders.kinds_reference import example_document
from pydantic import create_model

from specs.kinds import KINDS
from specs.kinds.record import Record
from specs.schema import DIALECT, json_schema
from specs.yaml import load_file
from specs.yaml.scalars import Plain

SCHEMA = json_schema()
LATER_THAN_DRAFT_7 = {
    "$defs",
    "prefixItems",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "minContains",
    "$dynamicRef",
}


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from nodes(part)


def test_the_schema_is_json_of_draft_7() -> None:
    schema = SCHEMA
    assert schema["$schema"] == DIALECT
    assert json.loads(json.dumps(schema)) == schema
    for node in nodes(schema):
        assert not LATER_THAN_DRAFT_7 & set(node)
        if "$ref" in node:
            assert set(node) == {"$ref"}


def test_every_reference_leads_somewhere() -> None:
    schema = SCHEMA
    targets = {node["$ref"] for node in nodes(schema) if "$ref" in node}
    assert {target.removeprefix("#/definitions/") for target in targets} == set(
        schema["definitions"]
    )


def test_kind_decides_which_definition_applies() -> None:
    schema = SCHEMA
    assert schema["properties"]["kind"] == {"enum": list(KINDS)}
    chosen = {
        rule["if"]["properties"]["kind"]["pattern"].strip("^$"): rule["then"]["$ref"]
        for rule in schema["allOf"]
    }
    assert chosen == {kind: f"#/definitions/{kind}" for kind in KINDS}


def test_unknown_fields_are_refused_everywhere() -> None:
    for name, definition in SCHEMA["definitions"].items():
        assert definition["additionalProperties"] is False, name


def test_every_field_is_described_and_its_examples_match_its_form() -> None:
    for name, definition in SCHEMA["definitions"].items():
        assert definition["description"], name
        for field, schema in definition.get("properties", {}).items():
            if field in ("apiVersion", "kind", "metadata", "spec"):
                continue
            assert schema.get("description") or "$ref" in schema, f"{name}.{field}"
            for example in schema.get("examples", ()):
                if "pattern" in schema and isinstance(example, str):
                    assert re.search(schema["pattern"], example), f"{name}.{field}"


def test_nothing_may_be_null_and_quantities_have_their_written_form() -> None:
    schema = SCHEMA
    assert '"null"' not in json.dumps(schema)
    timeout = schema["definitions"]["ScenarioOptions"]["properties"]["timeout"]
    assert timeout["default"] == "2h"
    assert timeout["type"] == "string"
    assert timeout["pattern"] == r"^[0-9]{1,15}(\.[0-9]{1,6})?(s|m|h|d|w)$"


def test_a_step_has_exactly_one_action() -> None:
    step = SCHEMA["definitions"]["Step"]
    actions = [name for name in step["properties"] if name != "timeout"]
    assert step["oneOf"] == [{"required": [name]} for name in actions]


def test_the_schema_follows_the_rules_of_its_dialect() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_every_field_has_an_example_or_is_a_record_that_has() -> None:
    for name, definition in SCHEMA["definitions"].items():
        for field, schema in definition.get("properties", {}).items():
            if field not in ("apiVersion", "kind"):
                text = json.dumps({key: schema[key] for key in schema if key != "items"})
                assert "examples" in schema or "$ref" in text, f"{name}.{field}"


def as_plain(example: object) -> Plain:
    """Return an example as the loader gives it to the models."""
    text = re.sub(r'"(!secret [^"]*)"', r"\1", json.dumps(example, ensure_ascii=False))
    (document,) = load_file("example.yaml", f"v: {text}\n".encode()).documents
    return document.value(("v",))


def records() -> dict[str, type[Record]]:
    """Return all models by the names of their definitions."""
    every: list[type[Record]] = [Record]
    for model in every:
        every += model.__subclasses__()
    names = SCHEMA["definitions"]
    return {model.__name__: model for model in every if model.__name__ in names}


@pytest.mark.parametrize("model", records().values(), ids=list(records()))
def test_every_example_of_a_field_is_accepted_by_the_field(model: type[Record]) -> None:
    for name, field in model.model_fields.items():
        alone: Any = create_model(
            model.__name__, __base__=Record, **{name: (field.annotation, field)}
        )
        for example in field.examples or ():
            if name not in ("api_version", "kind"):
                alone.model_validate({field.alias: as_plain(example)})


def test_every_example_of_a_field_is_accepted_by_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    definitions = SCHEMA["definitions"]
    for name, definition in definitions.items():
        for field, schema in definition.get("properties", {}).items():
            validator = jsonschema.Draft7Validator({**schema, "definitions": definitions})
            for example in schema.get("examples", ()):
                assert list(validator.iter_errors(example)) == [], f"{name}.{field}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_kind_is_accepted_by_its_model(kind: str) -> None:
    document = example_document(kind)
    KINDS[kind].model_validate(as_plain(document))


def test_the_schema_accepts_the_examples_of_all_kinds() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(SCHEMA)
    for kind in KINDS:
        assert list(validator.iter_errors(example_document(kind))) == [], kind


def test_the_schema_refuses_what_the_models_refuse() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(SCHEMA)
    document = example_document("Hold")
    document["spec"]["untill"] = "x"
    assert [error.message for error in validator.iter_errors(document)] == [
        "Additional properties are not allowed ('untill' was unexpected)"
    ]
