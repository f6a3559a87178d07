"""Times of day, days of the week, time zones and recurring times."""

import re
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``date.weekday``."""

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = r"(?:UTC|[A-Z][A-Za-z]+(?:/[A-Za-z0-9_+-]+){1,2})"
_MIDNIGHT = "24:00"
_is_time = re.compile(_TIME).fullmatch
_is_zone = re.compile(_ZONE).fullmatch

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NO_NAMES: tuple[str, ...] = ()
_FIELDS = (
    ("a minute", 0, 59, _NO_NAMES),
    ("an hour", 0, 23, _NO_NAMES),
    ("a day of the month", 1, 31, _NO_NAMES),
    ("a month", 1, 12, _MONTHS),
    ("a day of the week", 0, 7, _DAYS),
)
"""The five fields of crontab(5), the lowest and highest number of each, and their names."""

_ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - no moment is asked for
_ITEM = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?")


def _time_of_day(text: str) -> str:
    if _is_time(text):
        return text
    raise InvalidValue(f"{quoted(text)} is not a time of day", 'from "00:00" to "23:59"')


def _end_of_day(text: str) -> str:
    return text if text == _MIDNIGHT else _time_of_day(text)


def _time_zone(text: str) -> str:
    if not _is_zone(text):
        raise InvalidValue(
            f"{quoted(text)} does not look like a time zone", "for example Asia/Tokyo or UTC"
        )
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, OSError):  # a folder of the database is none either
        meant = NearestNames().find(text, available_timezones())
        raise InvalidValue(
            f"there is no time zone {quoted(text)}",
            f"did you mean {meant}?" if meant else "for example Asia/Tokyo or UTC",
        ) from None


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        counted = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise InvalidValue(
            f"{quoted(text)} has {counted}, a recurring time has {len(_FIELDS)}",
            'minute, hour, day of the month, month, day of the week: "30 2 * * sat"',
        )
    for field, (noun, lowest, highest, names) in zip(fields, _FIELDS, strict=True):
        for item in field.lower().split(","):
            _check_item(item, noun, (lowest, highest), names)
    cron = " ".join(fields).lower()
    try:
        CronSim(cron, _ANY_DAY)
    except CronSimError:
        raise InvalidValue(f"{quoted(text)} never comes", "no such month has that day") from None
    return cron


def _check_item(item: str, noun: str, bounds: tuple[int, int], names: tuple[str, ...]) -> None:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise InvalidValue(f"{quoted(item)} is not {noun}", "for example *, 2, 1-5 or */10")
    first, last, step = match.groups()
    if first == "*" and last is not None:
        raise InvalidValue(f"{quoted(item)} is not {noun}", "* is already everything")
    numbers = [
        _number(part, noun, bounds, names) for part in (first, last) if part not in (None, "*")
    ]
    if len(numbers) > 1 and numbers[0] > numbers[1]:
        raise InvalidValue(f"{quoted(item)} ends before it begins", f"as {noun}")
    if step is not None and int(step) == 0:
        raise InvalidValue(f"{quoted(item)} has steps of nothing", "for example */10")


def _number(part: str, noun: str, bounds: tuple[int, int], names: tuple[str, ...]) -> int:
    lowest, highest = bounds
    if part in names:
        return names.index(part) + lowest
    if part.isdecimal() and lowest <= int(part) <= highest:
        return int(part)
    more = f", or {names[0]} to {names[-1]}" if names else ""
    short = next((name for name in names if part.startswith(name)), None)
    hint = f"its short name is {short}" if short else f"from {lowest} to {highest}{more}"
    raise InvalidValue(f"{quoted(part)} is not {noun}", hint)


TimeOfDay = Annotated[str, read_with(_time_of_day), shown_as(f"^{_TIME}$", "02:30")]
"""Hours and minutes of a 24-hour clock."""

EndTimeOfDay = Annotated[
    str, read_with(_end_of_day), shown_as(f"^(?:{_TIME}|{_MIDNIGHT})$", "05:00", _MIDNIGHT)
]
"""A time of day that something lasts until; ``24:00`` is the end of the day."""

TimeZone = Annotated[str, read_with(_time_zone), shown_as(f"^{_ZONE}$", "Asia/Tokyo")]
"""A name of the IANA time zone database."""

Cron = Annotated[str, read_with(_cron), shown_as(r"^\S+( +\S+){4}$", "30 2 * * sat")]
"""Five fields as in crontab(5): minute, hour, day of the month, month, day of the week."""
