"""The reference of all kinds as Markdown, made of the models.

``docs/reference/kinds.md`` is what ``kinds_reference`` returns; a test holds the two
together.
"""

import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from specs.kinds import API_VERSION, KINDS
from specs.schema import json_schema

_INTRODUCTION = f"""# Kinds of documents

Desired state is YAML: any number of files in any folders, any number of documents in a file. Each
document has `apiVersion: {API_VERSION}`, a `kind`, `metadata` with a `name`, and a `spec`.
Unknown fields are errors. Lists and mappings may be written in either style of YAML.

How fields are inherited is in [inheritance.md](inheritance.md), how machines are picked in
[selectors.md](selectors.md), what follows for machines that no document knows in
[enrollment.md](enrollment.md).

This page is generated from the models in `specs/kinds/`.
"""
_NAMED = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}
_Schema = Mapping[str, Any]


def kinds_reference() -> str:
    """Return the page: each kind with its fields, then the parts that several kinds share."""
    definitions = _definitions()
    owners = {kind: list(_parts(definitions, kind)) for kind in KINDS}
    used = [part for parts in owners.values() for part in parts]
    shared = sorted({part for part in used if used.count(part) > 1})
    sections = [_INTRODUCTION, _contents(shared)]
    for kind, parts in owners.items():
        own = [part for part in parts if part not in shared]
        sections.append(_kind(definitions, kind, own))
    sections.append("## Shared parts\n")
    sections += [_part(definitions, name, "###") for name in shared]
    return "\n".join(sections)


def example_document(kind: str) -> dict[str, Any]:
    """Return a short document of a kind, made of its fields' examples."""
    definitions = _definitions()
    schema = definitions[kind]
    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind}
    for section in ("metadata", "spec"):
        document[section] = _example_of(definitions, schema["properties"][section])
    return document


@cache
def _definitions() -> Mapping[str, _Schema]:
    definitions: Mapping[str, _Schema] = json_schema()["definitions"]
    return definitions


def _contents(shared: list[str]) -> str:
    kinds = " · ".join(f"[{kind}](#{kind.lower()})" for kind in KINDS)
    parts = " · ".join(f"[{name}](#{name.lower()})" for name in shared)
    return f"Kinds: {kinds}\n\nShared parts: {parts}\n"


def _parts(definitions: Mapping[str, _Schema], name: str) -> Iterator[str]:
    """Yield the records below a kind, each once, in the order in which they are met."""
    seen: list[str] = []
    pending = [name]
    while pending:
        current = pending.pop(0)
        for schema in definitions[current].get("properties", {}).values():
            for found in _references(schema):
                if found not in seen:
                    seen.append(found)
                    pending.append(found)
    yield from seen


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for key, part in schema.items():
            if key != "examples":
                yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _kind(definitions: Mapping[str, _Schema], kind: str, parts: list[str]) -> str:
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 4096  # a key or a URL that is broken in two is no longer one
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(example_document(kind), text)
    lines = [f"## {kind}\n", f"{definitions[kind]['description']}\n", "```yaml"]
    lines += [text.getvalue().rstrip("\n"), "```\n"]
    lines += [_part(definitions, name, "###") for name in parts]
    return "\n".join(lines)


def _part(definitions: Mapping[str, _Schema], name: str, heading: str) -> str:
    schema = definitions[name]
    lines = [f"{heading} {name}\n", f"{schema['description']}\n"]
    properties: Mapping[str, _Schema] = schema.get("properties", {})
    if properties:
        lines += [
            "| Field | Type | Default | Meaning | Example |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            _row(definitions, field, each, required=field in schema.get("required", ()))
            for field, each in properties.items()
        ]
    else:
        lines.append("It has no fields: write `{}`.")
    return "\n".join(lines) + "\n"


def _row(definitions: Mapping[str, _Schema], field: str, schema: _Schema, *, required: bool) -> str:
    if required:
        default = "required"
    elif schema.get("default") in (None, [], {}):
        default = ""
    else:
        default = _code(schema["default"])
    examples = schema.get("examples") or ()
    cells = [
        f"`{field}`",
        _type(schema),
        default,
        schema.get("description") or definitions[next(_references(schema))]["description"],
        _code(examples[0]) if examples else "",
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(value: object) -> str:
    return f"`{_flow(value)}`"


def _flow(value: object) -> str:
    """Return a value as people write it in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and not value.startswith("!"):
        needs_quotes = not value or value[0].isdigit() or any(mark in value for mark in "*?:#,{}[]")
        return json.dumps(value) if needs_quotes else value
    return value if isinstance(value, str) else json.dumps(value)


def _type(schema: _Schema) -> str:
    for name in _references(schema) if "$ref" in schema or "allOf" in schema else ():
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema['items'])}{_limits(schema, 'minItems', 'maxItems')}"
    if kind == "object":
        return "mapping of text"
    if isinstance(kind, list):
        return "text"
    return _NAMED[str(kind)] + _limits(schema, "minimum", "maximum")


def _limits(schema: _Schema, lowest: str, highest: str) -> str:
    low, high = schema.get(lowest), schema.get(highest)
    if high is None:
        return "" if low is None else f", at least {low}"
    return f", at most {high:,}" if low is None else f", {low:,} to {high:,}"


def _example_of(definitions: Mapping[str, _Schema], schema: _Schema) -> Any:
    """Return a value's own example, or one made of its fields: the required ones, if any."""
    if schema.get("examples"):
        return schema["examples"][0]
    record = definitions[next(_references(schema))]
    properties: Mapping[str, _Schema] = record.get("properties", {})
    fields = record.get("required") or properties
    return {field: _example_of(definitions, properties[field]) for field in fields}
