"""When schedules act. Pure.

An occurrence is a moment at which a schedule would act. Its cron is read as Debian's cron
reads it (cron(8)): a time of day that a clock change leaves out comes right after the change,
one that comes twice is taken once; what recurs within the hour goes on in real time.

Nothing is remembered here: the caller says up to which moment occurrences are handled, and
keeps by their moments which were. So a clock that jumps handles no moment twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import chain, groupby, islice, takewhile
from typing import NamedTuple
from zlib import crc32
from zoneinfo import ZoneInfo

from cronsim import CronSim

from specs.fleet import CompiledSchedule

MOST_MADE_UP = 100
"""Missed occurrences that are recorded one by one, and run where all of them are to be run."""
_DAY = timedelta(days=1)
_SPANS = tuple(timedelta(days=days) for days in (1, 8, 64, 512, 4096))
"""How far back what was missed is looked for, until there is enough of it."""


class Occurrence(NamedTuple):
    """A moment at which a schedule acts, in UTC."""

    moment: datetime
    left_out: str = ""
    """Why it does not after all, as a clause."""


def occurrences(schedule: CompiledSchedule, after: datetime) -> Iterator[Occurrence]:
    """Yield all that come after a moment, in their order."""
    local = after.astimezone(zone_of(schedule))
    day = local.date()
    while day - _DAY in schedule.holidays:  # what is put off may come from before
        day -= _DAY
    found = _with_holidays(schedule, datetime.combine(day, time(), local.tzinfo))
    return (each for each in found if each.moment > after)


def upcoming(schedule: CompiledSchedule, after: datetime, most: int) -> list[Occurrence]:
    """Return the next few occurrences."""
    return list(islice(occurrences(schedule, after), most))


def due(schedule: CompiledSchedule, handled: datetime, now: datetime) -> tuple[Occurrence, ...]:
    """Return the occurrences after ``handled`` up to ``now``: to be begun, or left out and why.

    Of several that may still begin, the newest does, unless all that was missed shall be
    made up for.
    """
    found, is_all = _newest(schedule, handled, now)
    wanted = [each for each in found if not each.left_out]
    in_time = [each for each in wanted if not is_too_late(schedule, each.moment, now)]
    match schedule.missed:
        case "run-all":
            begun = set(wanted)
        case "run-once":
            begun = set(wanted[-1:])
        case "skip":
            begun = set(in_time[-1:])
    told = []
    for each in found:
        if each.left_out or each in begun:
            told.append(each)
        else:
            late = "a later one is due already" if begun else "nothing could begin in its window"
            told.append(each._replace(left_out=f"missed: {late}"))
    if told and not is_all:
        told[0] = told[0]._replace(left_out="missed, as all that came before it since the last")
    return tuple(told)


def first_moment(schedule: CompiledSchedule, now: datetime) -> datetime:
    """Return up to which moment a schedule that is new at ``now`` counts as handled.

    A recurring one acts from then on; one moment still counts while its window is open.
    """
    if schedule.at is None or is_too_late(schedule, schedule.at, now):
        return now
    return min(now, schedule.at.astimezone(UTC) - timedelta(microseconds=1))


def is_too_late(schedule: CompiledSchedule, moment: datetime, now: datetime) -> bool:
    """Return whether the window of a moment is over."""
    return now > moment + timedelta(seconds=schedule.window_seconds)


def rhythm(schedule: CompiledSchedule) -> str:
    """Return what tells the schedule's occurrences from those of before it was changed."""
    return schedule.at.isoformat() if schedule.at else f"{schedule.cron} {schedule.time_zone}"


def delay_of(schedule: CompiledSchedule, machine: str, place: int) -> timedelta:
    """Return how much later than the schedule a machine starts, the ``place``-th from 0."""
    delay = place * schedule.start_interval_seconds
    if schedule.jitter_seconds:
        delay += crc32(f"{schedule.name}/{machine}".encode()) % (schedule.jitter_seconds + 1)
    return timedelta(seconds=delay)


def shown_moment(schedule: CompiledSchedule, moment: datetime) -> str:
    """Return a moment for people, in the schedule's time zone."""
    return f"{moment.astimezone(zone_of(schedule)):%Y-%m-%d %H:%M %Z}"


def zone_of(schedule: CompiledSchedule) -> tzinfo:
    """Return the time zone of a schedule's times."""
    if schedule.at is not None:
        return schedule.at.tzinfo or UTC
    return ZoneInfo(schedule.time_zone)


def _newest(
    schedule: CompiledSchedule, handled: datetime, now: datetime
) -> tuple[list[Occurrence], bool]:
    """Return the newest occurrences up to ``now``, and whether they are all after ``handled``."""
    for span in _SPANS:
        since = max(handled, now - span)
        found = list(takewhile(lambda each: each.moment <= now, occurrences(schedule, since)))
        if since == handled or len(found) > MOST_MADE_UP:
            break
    is_all = since == handled and len(found) <= MOST_MADE_UP
    return found[-MOST_MADE_UP:], is_all


def _with_holidays(schedule: CompiledSchedule, since: datetime) -> Iterator[Occurrence]:
    """Yield the occurrences from a local midnight on; ``since`` is no day that is put off to."""
    put_off: defaultdict[date, list[datetime]] = defaultdict(list)
    for day, moments in groupby(_moments(schedule, since), key=datetime.date):
        for earlier in sorted(each for each in put_off if each < day):
            yield from _in_order(put_off.pop(earlier))
        if day not in schedule.holidays:
            yield from _in_order(chain(moments, put_off.pop(day, ())))
        elif schedule.holiday_action == "skip":
            why = f"{day} is a holiday"
            yield from (each._replace(left_out=why) for each in _in_order(moments))
        else:
            free = day
            while free in schedule.holidays:
                free += _DAY
            put_off[free] += [datetime.combine(free, each.timetz()) for each in moments]
    yield from _in_order(chain.from_iterable(put_off.values()))


def _moments(schedule: CompiledSchedule, since: datetime) -> Iterator[datetime]:
    """Yield local moments from ``since`` on, whatever day it is."""
    if schedule.at is not None:
        return iter([schedule.at] if schedule.at >= since else [])
    return _until_the_calendar_ends(CronSim(schedule.cron, since - timedelta(seconds=1)))


def _until_the_calendar_ends(moments: Iterator[datetime]) -> Iterator[datetime]:
    try:
        yield from moments
    except OverflowError:  # the next one would be in the year 10,000
        return


def _in_order(local: Iterable[datetime]) -> Iterator[Occurrence]:
    """Yield local moments in order; two that a clock change brought together are one.

    In UTC, since two moments of a zone count as equal where a clock shows the same.
    """
    return (Occurrence(each) for each in sorted({each.astimezone(UTC) for each in local}))
