"""Numbers with units as text, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

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

    def parse(self, text: str) -> int:
        """Return the amount in the first unit; QuantityError when ``text`` is none.

        A fraction is allowed where the result is whole, and for amounts above a
        thousand of the first unit, where what is lost is below a thousandth:
        ``1.1TiB`` is rounded down to a byte, ``1.5s`` is an error.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise QuantityError(f"is not {self.noun}", self._usage)
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
        meant = next((known for known in self.units if known.lower() == unit.strip().lower()), None)
        if meant is not None:
            return QuantityError(f"is not {self.noun}", f"write {number}{meant}")
        return QuantityError(f"is not {self.noun}", self._usage)
