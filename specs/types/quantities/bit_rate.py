"""Speeds of links."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from specs.types.quantities import quantity_schema
from specs.types.quantities.scale import Scale

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SCALE = Scale(
    noun="a bit rate",
    example="400Mbit/s",
    units={"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9},
    aliases={"bps": "bit/s", "kbps": "kbit/s", "mbps": "Mbit/s", "gbps": "Gbit/s"},
)


@dataclass(frozen=True, slots=True, order=True)
class BitRate:
    """Whole bits per second, in decimal units as network links are rated."""

    bits_per_second: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``text`` says; QuantityError when it is no bit rate."""
        return cls(SCALE.parse(text))

    def __str__(self) -> str:
        return SCALE.text(self.bits_per_second)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        return quantity_schema.from_text(cls, cls.parse, SCALE)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: "CoreSchema", _handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return quantity_schema.json_schema(SCALE)
