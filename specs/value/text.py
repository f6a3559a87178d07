"""Making a field type out of a check on text."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from specs.rejection import Rejection

T = TypeVar("T")


def read_with(parse: Callable[[str], T]) -> BeforeValidator:
    """Return the annotation of a field that is written as text and parsed by ``parse``.

    ``parse`` raises ``Rejection`` for a text that is not of the field's form.
    """

    def read(value: object) -> T:
        if type(value) is not str:
            raise PydanticKnownError("string_type")
        try:
            return parse(value)
        except Rejection as rejection:
            raise rejection.as_pydantic() from None

    return BeforeValidator(read)


def shown_as(pattern: str, *examples: str, description: str = "") -> WithJsonSchema:
    """Return the annotation that tells editors the form of a text field."""
    schema: dict[str, Any] = {"type": "string", "pattern": pattern, "examples": list(examples)}
    if description:
        schema["description"] = description
    return WithJsonSchema(schema)
