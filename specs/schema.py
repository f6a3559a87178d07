"""The JSON Schema of documents, for editors.

Draft-07, which is what yaml-language-server reads. It describes one document; what
documents mean together only ``compile_fleet`` can check.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from specs.kinds import API_VERSION, KINDS
from specs.kinds.machine_table import MachineRow
from specs.types.quantities import Quantity

if TYPE_CHECKING:
    from specs.kinds.record import Record

DIALECT = "http://json-schema.org/draft-07/schema#"

_REFERENCE = "#/definitions/"

_Schema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """pydantic's generator, which does not know how quantities are written."""

    def encode_default(self, dflt: Any) -> Any:  # noqa: ANN401 - as in the base class
        """Return a default as a document has it."""
        if isinstance(dflt, Quantity):
            return str(dflt)
        return super().encode_default(dflt)


def json_schema() -> _Schema:
    """Return the schema of one document of any kind, ready for ``json.dumps``.

    ``kind`` decides which definition applies, so that an editor complains about the
    one field that is wrong, and not that no kind fits.
    """
    models: list[type[Record]] = [*KINDS.values(), MachineRow]
    _, generated = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=_REFERENCE + "{model}",
        schema_generator=_Generator,
    )
    definitions = {name: _draft7(schema) for name, schema in generated["$defs"].items()}
    rows = definitions["MachineTableSpec"]["properties"]["rows"]
    rows["items"] = {"$ref": _REFERENCE + MachineRow.__name__}  # pydantic writes it out in place
    used = _reachable(definitions, set(KINDS))
    return {
        "$schema": DIALECT,
        "title": "Rackwright desired state",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"enum": list(KINDS)},
        },
        "allOf": [
            {
                # No const: editors take one that begins with the kind, as MachineTable for Machine.
                "if": {"properties": {"kind": {"pattern": f"^{kind}$"}}, "required": ["kind"]},
                "then": {"$ref": _REFERENCE + model.__name__},
            }
            for kind, model in KINDS.items()
        ],
        "definitions": {name: definitions[name] for name in definitions if name in used},
    }


def _reachable(definitions: _Schema, names: set[str]) -> set[str]:
    """Return ``names`` and what they refer to, whatever lies between."""
    found: set[str] = set()
    while names:
        found |= names
        names = {name for each in names for name in _referred(definitions[each])} - found
    return found


def _referred(schema: Any) -> Iterator[str]:  # noqa: ANN401 - JSON values are of any type
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from _referred(part)
        elif isinstance(part, str) and part.startswith(_REFERENCE):
            yield part.removeprefix(_REFERENCE)


def _draft7(schema: Any) -> Any:  # noqa: ANN401 - JSON values are of any type
    """Return pydantic's 2020-12 schema in draft-07's terms.

    There, keywords beside ``$ref`` are ignored, so they move around it. ``null`` goes:
    a model's None means "not written", and a written null is refused before models
    see it. Titles go: pydantic makes them of names, and they say nothing new.
    """
    if isinstance(schema, list):
        return [_draft7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _without_null(schema)
    result = {
        key: _draft7(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result


def _without_null(schema: _Schema) -> _Schema:
    schema = dict(schema)
    if schema.get("default", ...) is None:
        del schema["default"]
    choices = schema.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del schema["anyOf"]
        schema = {**left[0], **schema} if len(left) == 1 else {**schema, "anyOf": left}
    return schema
