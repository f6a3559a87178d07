"""Amounts that are written with their unit: ``10m``, ``1.5TiB``, ``400Mbit/s``."""

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from pydantic import AfterValidator
from pydantic_core import core_schema

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import parsed

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

_PART = re.compile(r"([0-9]{1,15}) ?([A-Za-z]+) ?")
_PARTS = re.compile(rf"(?:{_PART.pattern}){{2,4}}")
_FORM = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Scale:
    """The units of one kind of quantity, each with its factor to the first, which is 1."""

    noun: str
    """With its article: ``a duration``."""
    example: str
    units: Mapping[str, int]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other words for units, in lower case and the singular, which a hint translates."""

    def parse(self, text: str) -> int:
        """Return the amount in the first unit; InvalidValue when ``text`` is none.

        A fraction is allowed where the result is whole, and for amounts above a
        thousand of the first unit, where what is lost is below a thousandth:
        ``1.1TiB`` is rounded down to a byte, ``1.5s`` is an error.
        """
        is_none = f"{quoted(text)} is not {self.noun}"
        match = _FORM.fullmatch(text)
        if match is None:
            raise InvalidValue(is_none, self._usage)
        if _PARTS.fullmatch(text):
            raise InvalidValue(is_none, self._sum(text) or self._usage)
        whole, fraction, unit = match.groups()
        if not unit:
            raise InvalidValue(f"{quoted(text)} has no unit", self._usage)
        if unit not in self.units:
            meant = self._meant(unit.strip().lower())
            number = whole if fraction is None else f"{whole}.{fraction}"
            raise InvalidValue(is_none, f"write {number}{meant}" if meant else self._usage)
        digits = fraction or ""
        exact = Fraction(int(whole + digits), 10 ** len(digits)) * self.units[unit]
        amount = int(exact)
        if amount != exact and amount < 1000:  # noqa: PLR2004 - see the docstring
            raise InvalidValue(
                f"{quoted(text)} is not a whole number of {next(iter(self.units))}",
                f"use a smaller unit; {self._usage}",
            )
        if amount == 0:
            raise InvalidValue(
                f"{quoted(text)} is nothing", f"write {self.noun} above zero; {self._usage}"
            )
        return amount

    def text(self, amount: int) -> str:
        """Return the shortest whole form of an amount: 3600 seconds are ``1h``."""
        unit, factor = max(
            ((unit, factor) for unit, factor in self.units.items() if amount % factor == 0),
            key=lambda item: item[1],
        )
        return f"{amount // factor}{unit}"

    @property
    def pattern(self) -> str:
        """Return a regular expression for JSON Schema."""
        units = "|".join(re.escape(unit).replace("/", r"\/") for unit in self.units)
        return rf"^[0-9]{{1,15}}(\.[0-9]{{1,6}})?({units})$"

    @property
    def _usage(self) -> str:
        return f"for example {self.example}; units are {', '.join(self.units)}"

    def _meant(self, unit: str) -> str | None:
        known = {each.lower(): each for each in self.units} | dict(self.aliases)
        return known.get(unit) or known.get(unit.rstrip("s"))

    def _sum(self, text: str) -> str:
        """Return the hint to write several amounts as one, or nothing."""
        parts = _PART.findall(text)
        if not all(unit in self.units for _, unit in parts):
            return ""
        return f"write {self.text(sum(int(number) * self.units[unit] for number, unit in parts))}"


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """A kind of amount: each declares its scale, and one whole number of the smallest unit."""

    SCALE: ClassVar[Scale]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``text`` says; InvalidValue when it is no amount of this kind."""
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
        return parsed(cls.parse, value)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: "GetCoreSchemaHandler"
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.read, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return {"type": "string", "pattern": cls.SCALE.pattern, "examples": [cls.SCALE.example]}


@dataclass(frozen=True, slots=True, order=True)
class BitRate(Quantity):
    """Whole bits per second, in decimal units as network links are rated."""

    SCALE: ClassVar = Scale(
        noun="a bit rate",
        example="400Mbit/s",
        units={"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9},
        aliases={"bps": "bit/s", "kbps": "kbit/s", "mbps": "Mbit/s", "gbps": "Gbit/s"},
    )
    bits_per_second: int


@dataclass(frozen=True, slots=True, order=True)
class ByteSize(Quantity):
    """Whole bytes, in decimal (``GB``) or binary (``GiB``) units (IEC 80000-13)."""

    SCALE: ClassVar = Scale(
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
    bytes: int


@dataclass(frozen=True, slots=True, order=True)
class ByteRate(Quantity):
    """Whole bytes per second, as disks are rated: ``100MB/s``, ``32MiB/s``."""

    SCALE: ClassVar = Scale(
        noun="a rate",
        example="32MiB/s",
        units={
            "B/s": 1,
            "kB/s": 10**3,
            "MB/s": 10**6,
            "GB/s": 10**9,
            "KiB/s": 2**10,
            "MiB/s": 2**20,
            "GiB/s": 2**30,
        },
    )
    bytes_per_second: int


@dataclass(frozen=True, slots=True, order=True)
class Duration(Quantity):
    """Whole seconds: ``90s``, ``10m``, ``2h``, ``1d``, ``1w``."""

    SCALE: ClassVar = Scale(
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
    seconds: int


Q = TypeVar("Q", BitRate, ByteRate, ByteSize, Duration)


def between(lowest: Q, highest: Q) -> AfterValidator:
    """Return the annotation of a field that takes ``lowest`` to ``highest``, both included."""
    return AfterValidator(partial(_within, lowest, highest))


def _within(lowest: Q, highest: Q, value: Q) -> Q:
    if not lowest <= value <= highest:
        raise InvalidValue(f"{value} is not between {lowest} and {highest}").as_pydantic()
    return value
