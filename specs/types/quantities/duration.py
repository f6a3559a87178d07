"""Lengths of time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from specs.types.quantities import quantity_schema
from specs.types.quantities.scale import Scale

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SCALE = Scale(
    noun="a duration",
    example="10m",
    units={"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800},
    aliases={
        **dict.fromkeys(("sec", "second"), "s"),
        **dict.fromkeys(("min", "minute"), "m"),
        **dict.fromkeys(("hr", "hour"), "h"),
        "day": "d",
        "week": "w",
    },
)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """Whole seconds: ``90s``, ``10m``, ``2h``, ``1d``, ``1w``."""

    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``text`` says; QuantityError when it is no duration."""
        return cls(SCALE.parse(text))

    def __str__(self) -> str:
        return SCALE.text(self.seconds)

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
