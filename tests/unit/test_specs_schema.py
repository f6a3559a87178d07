"""The JSON Schema for editors."""

import json
import re
from collections.abc import Iterator
from typing import Any

from specs.kinds import KINDS
from specs.schema import DIALECT, json_schema

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
    schema = json_schema()
    assert schema["$schema"] == DIALECT
    assert json.loads(json.dumps(schema)) == schema
    for node in nodes(schema):
        assert not LATER_THAN_DRAFT_7 & set(node)
        if "$ref" in node:
            assert set(node) == {"$ref"}


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema()
    targets = {node["$ref"] for node in nodes(schema) if "$ref" in node}
    assert {target.removeprefix("#/definitions/") for target in targets} == set(
        schema["definitions"]
    )


def test_kind_decides_which_definition_applies() -> None:
    schema = json_schema()
    assert schema["properties"]["kind"] == {"enum": list(KINDS)}
    chosen = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]["$ref"] for rule in schema["allOf"]
    }
    assert chosen == {kind: f"#/definitions/{kind}" for kind in KINDS}


def test_unknown_fields_are_refused_everywhere() -> None:
    for name, definition in json_schema()["definitions"].items():
        assert definition["additionalProperties"] is False, name


def test_every_field_is_described_and_its_examples_match_its_form() -> None:
    for name, definition in json_schema()["definitions"].items():
        assert definition["description"], name
        for field, schema in definition.get("properties", {}).items():
            if field in ("apiVersion", "kind", "metadata", "spec"):
                continue
            assert schema.get("description") or "$ref" in schema, f"{name}.{field}"
            for example in schema.get("examples", ()):
                if "pattern" in schema and isinstance(example, str):
                    assert re.search(schema["pattern"], example), f"{name}.{field}"


def test_nothing_may_be_null_and_quantities_have_their_written_form() -> None:
    schema = json_schema()
    assert '"null"' not in json.dumps(schema)
    timeout = schema["definitions"]["ScenarioOptions"]["properties"]["timeout"]
    assert timeout["default"] == "2h"
    assert timeout["type"] == "string"
    assert timeout["pattern"] == r"^[0-9]{1,15}(\.[0-9]{1,6})?(s|m|h|d|w)$"


def test_a_step_has_exactly_one_field() -> None:
    step = json_schema()["definitions"]["Step"]
    assert (step["minProperties"], step["maxProperties"]) == (1, 1)
