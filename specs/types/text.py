"""Making a field type out of a check on text.

Annotations of our own, by the protocol that pydantic documents for them: pydantic itself is
loaded where a model is built, and not where a value is read. Plain classes, because short
commands load them, and never compare or print one.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from specs.types.invalid_value import InvalidValue

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

T = TypeVar("T")


class ReadBy:
    """The annotation of a field whose value ``read`` makes of what is written.

    ``read`` raises what pydantic knows, as ``InvalidValue.as_pydantic``. It is a function of a
    module, or a partial of one, so that a model's core schema can be pickled.
    """

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[object], object]) -> None:
        self._read = read

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

        return core_schema.no_info_before_validator_function(self._read, handler(source))


class ShownAs:
    """The annotation of a field that editors shall know by ``json_schema``."""

    __slots__ = ("_json_schema",)

    def __init__(self, json_schema: Mapping[str, Any]) -> None:
        self._json_schema = json_schema

    def __get_pydantic_json_schema__(
        self, _schema: "CoreSchema", _handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return dict(self._json_schema)


class Length:
    """The annotation of a text with ``lowest`` to ``highest`` characters."""

    __slots__ = ("_highest", "_lowest")

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest = lowest
        self._highest = highest

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

        check = partial(within, self._lowest, self._highest)
        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return {**handler(schema), "minLength": self._lowest, "maxLength": self._highest}


def read_with(parse: Callable[[str], T]) -> ReadBy:
    """Return the annotation of a field that is written as text and parsed by ``parse``.

    ``parse`` raises ``InvalidValue`` for a text that is not of the field's form.
    """
    return ReadBy(partial(parsed, parse))


def shown_as(pattern: str, *examples: str) -> ShownAs:
    """Return the annotation that tells editors the form of a text field."""
    return ShownAs({"type": "string", "pattern": pattern, "examples": list(examples)})


def written_with_digits(parse: Callable[[str], str]) -> ReadBy:
    """Return the same as ``read_with``; a whole number stands for its digits: ``rack: 7``."""
    return ReadBy(partial(_parsed_digits, parse))


def _parsed_digits(parse: Callable[[str], str], value: object) -> str:
    return parsed(parse, str(value) if type(value) is int else value)


def parsed(parse: Callable[[str], T], value: object) -> T:
    """Return what ``parse`` makes of a text; what pydantic raises for anything else."""
    if type(value) is not str:
        from pydantic_core import PydanticKnownError  # noqa: PLC0415 - slow to load

        raise PydanticKnownError("string_type")
    try:
        return parse(value)
    except InvalidValue as refusal:
        raise refusal.as_pydantic() from None


def within(lowest: int, highest: int, text: str) -> str:
    """Return a text whose length lies within the limits; what pydantic raises for others."""
    if lowest <= len(text) <= highest:
        return text
    from pydantic_core import PydanticKnownError  # noqa: PLC0415 - slow to load

    if len(text) < lowest:
        limit = {"min_length": lowest}
        raise PydanticKnownError(
            "too_short", {"field_type": "Value", "actual_length": len(text), **limit}
        )
    limit = {"max_length": highest}
    raise PydanticKnownError(
        "too_long", {"field_type": "Value", "actual_length": len(text), **limit}
    )
