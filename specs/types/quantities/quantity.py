"""An amount that is written with its unit, and how pydantic reads it."""

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.quantities.scale import QuantityError, Scale
from specs.types.text import not_text

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """A kind of amount: each declares its scale, and one whole number of the smallest unit."""

    SCALE: ClassVar[Scale]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``text`` says; QuantityError when it is no amount of this kind."""
        return cls(cls.SCALE.parse(text))  # type: ignore[call-arg] # the number that each declares

    def __str__(self) -> str:
        (amount,) = astuple(self)
        return self.SCALE.text(amount)

    @classmethod
    def read(cls, value: object) -> Self:
        """Return the amount that a field has; what pydantic raises where it has none."""
        if isinstance(value, cls):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            raise InvalidValue(
                f"the number {value} has no unit",
                f"for example {cls.SCALE.example}; units are {', '.join(cls.SCALE.units)}",
            ).as_pydantic()
        if not isinstance(value, str):
            raise not_text()
        try:
            return cls.parse(value)
        except QuantityError as error:
            raise InvalidValue(f"{quoted(value)} {error}", error.hint).as_pydantic() from None

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

        return core_schema.no_info_plain_validator_function(
            cls.read, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: "CoreSchema", _handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return {"type": "string", "pattern": cls.SCALE.pattern, "examples": [cls.SCALE.example]}
