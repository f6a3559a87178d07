"""Looking up fields of models by their place in a document."""

from collections.abc import Iterator
from typing import get_args

from pydantic.fields import FieldInfo

from specs.diagnostics.path import Path
from specs.kinds.record import Record

_DEEPEST = 6
"""Levels that are searched for a field; the deepest one there is lies at five."""


def fields_of(model: type[Record]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their names in documents."""
    return {str(field.alias): field for field in model.model_fields.values()}


def field_at(model: type[Record], path: Path) -> FieldInfo | None:
    """Return the field at ``path``; for an item, the field of its list has no answer."""
    if not path or not isinstance(path[-1], str):
        return None
    parent = model_at(model, path[:-1])
    return fields_of(parent).get(path[-1]) if parent else None


def model_at(model: type[Record], path: Path) -> type[Record] | None:
    """Return the model of the mapping at ``path``."""
    current: type[Record] | None = model
    for part in path:
        if isinstance(part, int):
            continue  # the field's annotation was already searched through its list
        field = fields_of(current).get(part) if current else None
        current = _record_in(field.annotation) if field else None
    return current


def places_of(model: type[Record], name: str, outer: Path = ()) -> Iterator[Path]:
    """Yield where a mapping of the model, at ``outer``, can have a field, not within lists."""
    fields = fields_of(model)
    if name in fields:
        yield (*outer, name)
    if len(outer) == _DEEPEST:
        return
    for inner, field in fields.items():
        record = None if is_list(field.annotation) else _record_in(field.annotation)
        if record is not None:
            yield from places_of(record, name, (*outer, inner))


def example(field: FieldInfo | None) -> str:
    """Return a field's first example as flow YAML, or one made of what it requires."""
    if field is None:
        return ""
    if field.examples:
        return _flow(field.examples[0])
    record = None if is_list(field.annotation) else _record_in(field.annotation)
    return example_of(record) if record is not None else ""


def example_of(record: type[Record]) -> str:
    """Return a mapping with the fields that the model requires, as flow YAML, or nothing."""
    required = {
        name: example(field) or "..."
        for name, field in fields_of(record).items()
        if field.is_required()
    }
    if not required:
        return ""
    return "{" + ", ".join(f"{name}: {value}" for name, value in required.items()) + "}"


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and ":" in value:
        return f'"{value}"'
    return str(value)


def is_list(annotation: object) -> bool:
    """Return whether a field's type is a list, or one or nothing."""
    parts = [annotation, *get_args(annotation)]
    return any(getattr(part, "__origin__", None) is tuple for part in parts)


def _record_in(annotation: object) -> type[Record] | None:
    """Return the model inside ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    found = (_record_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)
