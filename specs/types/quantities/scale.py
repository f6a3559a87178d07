"""Numbers with units as text, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

_PART = re.compile(r"([0-9]{1,15}) ?([A-Za-z]+) ?")
_PARTS = re.compile(rf"(?:{_PART.pattern}){{2,4}}")
_FORM = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?(.*)", re.DOTALL)


class QuantityError(ValueError):
    """A text that is no quantity. ``hint`` says how to write one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


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
        """Return the amount in the first unit; QuantityError when ``text`` is none.

        A fraction is allowed where the result is whole, and for amounts above a
        thousand of the first unit, where what is lost is below a thousandth:
        ``1.1TiB`` is rounded down to a byte, ``1.5s`` is an error.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise QuantityError(f"is not {self.noun}", self._usage)
        if _PARTS.fullmatch(text):
            raise QuantityError(f"is not {self.noun}", self._sum(text) or self._usage)
        whole, fraction, unit = match.groups()
        if unit not in self.units:
            raise self._unknown_unit(whole if fraction is None else f"{whole}.{fraction}", unit)
        digits = fraction or ""
        exact = Fraction(int(whole + digits), 10 ** len(digits)) * self.units[unit]
        amount = int(exact)
        if amount != exact and amount < 1000:  # noqa: PLR2004 - see the docstring
            raise QuantityError(
                f"is not a whole number of {self._first}", f"use a smaller unit; {self._usage}"
            )
        if amount == 0:
            raise QuantityError("is nothing", f"write {self.noun} above zero; {self._usage}")
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

    @cached_property
    def _first(self) -> str:
        return next(iter(self.units))

    @property
    def _usage(self) -> str:
        return f"for example {self.example}; units are {', '.join(self.units)}"

    def _unknown_unit(self, number: str, unit: str) -> QuantityError:
        if not unit:
            return QuantityError("has no unit", self._usage)
        meant = self._meant(unit.strip().lower())
        if meant is not None:
            return QuantityError(f"is not {self.noun}", f"write {number}{meant}")
        return QuantityError(f"is not {self.noun}", self._usage)

    def _meant(self, unit: str) -> str | None:
        known = {each.lower(): each for each in self.units} | dict(self.aliases)
        return known.get(unit) or known.get(unit.rstrip("s"))

    def _sum(self, text: str) -> str:
        """Return the hint to write several amounts as one, or nothing."""
        parts = _PART.findall(text)
        if not all(unit in self.units for _, unit in parts):
            return ""
        return f"write {self.text(sum(int(number) * self.units[unit] for number, unit in parts))}"
