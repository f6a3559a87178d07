"""How pydantic reads a quantity."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.quantities.scale import QuantityError, Scale
from specs.types.text import not_text

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

T = TypeVar("T")


def from_text(cls: type[T], parse: Callable[[str], T], scale: Scale) -> "CoreSchema":
    """Return a schema that makes text a quantity and lets a quantity pass."""
    from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

    return core_schema.no_info_plain_validator_function(
        partial(read, cls, parse, scale), serialization=core_schema.to_string_ser_schema()
    )


def read(cls: type[T], parse: Callable[[str], T], scale: Scale, value: object) -> T:
    """Return the quantity that a field has; what pydantic raises where it has none."""
    if isinstance(value, cls):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        raise InvalidValue(
            f"the number {value} has no unit",
            f"for example {scale.example}; units are {', '.join(scale.units)}",
        ).as_pydantic()
    if not isinstance(value, str):
        raise not_text()
    try:
        return parse(value)
    except QuantityError as error:
        raise InvalidValue(f"{quoted(value)} {error}", error.hint).as_pydantic() from None


def json_schema(scale: Scale) -> "JsonSchemaValue":
    """Return what editors shall know of it."""
    return {"type": "string", "pattern": scale.pattern, "examples": [scale.example]}
