"""What schedules do next, on how many machines. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from reconciler.planning.schedules import delay_of, occurrences
from specs.fleet import CompiledMachine, CompiledSchedule

_MOST_LEFT_OUT = 100
"""Times in a row that holidays may leave out until the next one is not looked for any more."""


class UpcomingWork(NamedTuple):
    """The next time of a schedule."""

    schedule: CompiledSchedule
    machines: int
    """How many of the machines that were asked about it selects."""
    moment: datetime
    """In UTC."""
    delay: timedelta = timedelta()
    """How much later one machine begins, where one was asked about."""


def upcoming_work(
    schedules: Mapping[str, CompiledSchedule], machines: Iterable[CompiledMachine], now: datetime
) -> tuple[UpcomingWork, ...]:
    """Return the next time of each schedule that selects one of the machines, the soonest first."""
    if not schedules:
        return ()
    counts = Counter(name for machine in machines for name in machine.schedules)
    found = [
        UpcomingWork(schedules[name], count, moment)
        for name, count in counts.items()
        if (moment := _next(schedules[name], now)) is not None
    ]
    return tuple(sorted(found, key=lambda each: (each.moment, each.schedule.name)))


def upcoming_on(
    schedules: Mapping[str, CompiledSchedule],
    machine: CompiledMachine,
    machines: Iterable[CompiledMachine],
    now: datetime,
) -> tuple[UpcomingWork, ...]:
    """Return the same for one machine, with its delay.

    ``machines`` are all of the fleet, by name: machines that start one after another have their
    places among them.
    """
    found = upcoming_work(schedules, (machine,), now)
    places: Counter[str] = Counter()
    if any(each.schedule.start_interval_seconds for each in found):
        before = (each for each in machines if each.name < machine.name)
        places.update(name for each in before for name in each.schedules)
    return tuple(
        each._replace(delay=delay_of(each.schedule, machine.name, places[each.schedule.name]))
        for each in found
    )


def _next(schedule: CompiledSchedule, now: datetime) -> datetime | None:
    some = islice(occurrences(schedule, now), _MOST_LEFT_OUT)
    return next((each.moment for each in some if not each.left_out), None)
