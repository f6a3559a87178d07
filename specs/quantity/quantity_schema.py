"""How pydantic reads a quantity."""

from collections.abc import Callable
from typing import TypeVar

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from specs.quantity.scale import QuantityError, Scale
from specs.quotation import quoted
from specs.rejection import Rejection

T = TypeVar("T")


def from_text(cls: type[T], parse: Callable[[str], T], scale: Scale) -> CoreSchema:
    """Return a schema that makes text a quantity and lets a quantity pass."""

    def read(value: object) -> T:
        if isinstance(value, cls):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            raise Rejection(
                f"the number {value} has no unit",
                f"for example {scale.example}; units are {', '.join(scale.units)}",
            ).as_pydantic()
        if not isinstance(value, str):
            raise PydanticKnownError("string_type")
        try:
            return parse(value)
        except QuantityError as error:
            raise Rejection(f"{quoted(value)} {error}", error.hint).as_pydantic() from None

    return core_schema.no_info_plain_validator_function(
        read, serialization=core_schema.to_string_ser_schema()
    )


def json_schema(scale: Scale) -> JsonSchemaValue:
    """Return what editors shall know of it."""
    return {"type": "string", "pattern": scale.pattern, "examples": [scale.example]}
