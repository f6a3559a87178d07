"""Amounts of storage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from specs.types.quantities import quantity_schema
from specs.types.quantities.scale import Scale

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SCALE = Scale(
    noun="a size",
    example="1.5TiB",
    units={
        "B": 1,
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "TB": 10**12,
        "PB": 10**15,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "TiB": 2**40,
        "PiB": 2**50,
    },
)


@dataclass(frozen=True, slots=True, order=True)
class ByteSize:
    """Whole bytes, in decimal (``GB``) or binary (``GiB``) units (IEC 80000-13)."""

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``text`` says; QuantityError when it is no size."""
        return cls(SCALE.parse(text))

    def __str__(self) -> str:
        return SCALE.text(self.bytes)

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
