"""Moments, with their offset from UTC (RFC 3339)."""

import re
from datetime import date, datetime
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_OFFSET = r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_LOCAL = rf"{_DATE}[Tt ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]{{1,6}})?"
_is_timestamp = re.compile(_LOCAL + _OFFSET).fullmatch
_has_no_offset = re.compile(rf"{_DATE}(?:[Tt ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?)?").fullmatch
_has_no_seconds = re.compile(rf"({_DATE}[Tt ][0-9]{{2}}:[0-9]{{2}})({_OFFSET})").fullmatch
_is_date = re.compile(_DATE).fullmatch


def _timestamp(text: str) -> datetime:
    if not _is_timestamp(text):
        example = "for example 2026-12-01T06:00:00+09:00, or with Z for UTC"
        if _has_no_offset(text):
            raise InvalidValue(f"{quoted(text)} says no offset from UTC", example)
        without = _has_no_seconds(text)
        if without:
            raise InvalidValue(
                f"{quoted(text)} says no seconds", f"write {without[1]}:00{without[2]}"
            )
        raise InvalidValue(f"{quoted(text)} is not a moment", example)
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise InvalidValue(f"{quoted(text)} does not exist", "look at the calendar") from None


def _calendar_day(text: str) -> date:
    if not _is_date(text):
        raise InvalidValue(f"{quoted(text)} is not a day", "for example 2026-12-24")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{quoted(text)} does not exist", "look at the calendar") from None


Timestamp = Annotated[
    datetime,
    read_with(_timestamp),
    shown_as(f"^{_LOCAL}{_OFFSET}$", "2026-12-01T06:00:00+09:00"),
]
"""A date and a time with its offset: one moment, wherever it is read."""

CalendarDay = Annotated[date, read_with(_calendar_day), shown_as(f"^{_DATE}$", "2026-12-24")]
"""A day, in whatever time zone goes with it."""
