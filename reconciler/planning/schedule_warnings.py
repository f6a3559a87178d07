"""Schedules that can never begin, since their machines' windows are closed each time. Pure."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from reconciler.planning.estimate import scenario_seconds
from reconciler.planning.schedules import delay_of, occurrences, shown_moment
from reconciler.planning.windows import closed, openings
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic, Diagnostics
from specs.diagnostics.quote import counted
from specs.fleet import CompiledFleet, CompiledMachine, CompiledSchedule, CompiledWindows

if TYPE_CHECKING:
    from reconciler.state.observed import ObservedImage

MOST_TIMES = 50
"""Occurrences that are looked at, and all of ``NEAR`` where those are more."""
NEAR = timedelta(days=8)
"""Windows repeat each week: what comes often is not called never before all of one is over."""
FAR = timedelta(days=400)
"""How far ahead they may be."""


class _Shut(NamedTuple):
    """Machines with the same windows, on which no time of a schedule can begin."""

    level: str
    """The group whose document says the windows; empty: the Fleet's."""
    windows: CompiledWindows
    machines: int
    first: datetime
    """When the first of them would begin next."""
    why: str
    """Why it does not, and until when, as a clause."""


def schedule_warnings(
    fleet: CompiledFleet,
    machines: Iterable[CompiledMachine],
    images: "Mapping[str, ObservedImage]",
    now: datetime,
) -> tuple[Diagnostic, ...]:
    """Report schedules none of whose next times can begin on some or all of their machines.

    ``machines`` are all of the fleet, in the order of their names; they are not asked for where
    it has no schedules or no windows. Work is estimated by ``images``, those that are known.
    """
    diagnostics = Diagnostics()
    if not fleet.windows or not fleet.schedules:
        return ()
    for name, by_level in _delays(fleet, machines).items():
        schedule = fleet.schedules[name]
        scenario = fleet.scenarios.get(schedule.scenario)
        seconds = scenario_seconds(scenario, images) if scenario else 0
        duration = timedelta(seconds=seconds)
        shut = _shut(fleet, schedule, by_level, duration, now)
        if shut:
            diagnostics.warning(
                schedule.position,
                Code.NEVER_BEGINS,
                _message(schedule, shut, sum(map(len, by_level.values())), now),
                "choose a time within them, or let it begin later after its time (when.window)",
            )
    return diagnostics.in_order()


def _delays(
    fleet: CompiledFleet, machines: Iterable[CompiledMachine]
) -> dict[str, dict[str | None, list[int]]]:
    """Return how many seconds later than each schedule its machines begin, by their windows.

    Those of machines without windows are under None. Starting machines heeds no windows.
    """
    places: Counter[str] = Counter()
    found: defaultdict[str, dict[str | None, list[int]]] = defaultdict(dict)
    for machine in machines:
        if not machine.schedules:
            continue
        said = fleet.windows_of(machine)
        for name in machine.schedules:
            schedule = fleet.schedules[name]
            if schedule.power != "on":
                delay = delay_of(schedule, machine.name, places[name])
                delays = found[name].setdefault(None if said is None else said[0], [])
                delays.append(int(delay.total_seconds()))
                places[name] += 1
    return found


def _shut(
    fleet: CompiledFleet,
    schedule: CompiledSchedule,
    by_level: Mapping[str | None, list[int]],
    duration: timedelta,
    now: datetime,
) -> list[_Shut]:
    """Return the machines on which none of its times can begin, the most first."""
    found = []
    next_time = next(_moments(schedule, now), None)
    if next_time is None:
        return []
    for level, delays in by_level.items():
        if level is None:
            continue
        windows = fleet.windows[level]
        left = _never_begin(schedule, windows, delays, duration, now)
        first = next_time + timedelta(seconds=left[0] if left else 0)
        shut = closed(windows, first, duration) if left else None
        if shut is not None:
            found.append(_Shut(level, windows, len(left), first, shut.reason))
    return sorted(found, key=lambda each: (-each.machines, each.level))


def _moments(schedule: CompiledSchedule, now: datetime) -> Iterator[datetime]:
    for number, each in enumerate(occurrences(schedule, now)):
        if each.moment > now + (FAR if number < MOST_TIMES else NEAR):
            return
        if not each.left_out:
            yield each.moment


def _never_begin(
    schedule: CompiledSchedule,
    windows: CompiledWindows,
    delays: Iterable[int],
    duration: timedelta,
    now: datetime,
) -> list[int]:
    """Return the delays of the machines on which the work can begin at none of its times."""
    left = sorted(delays)
    late = timedelta(seconds=schedule.window_seconds)
    shut = closed(windows, now, duration)
    if shut is not None and shut.opens is None:
        return left
    for moment in _moments(schedule, now):
        if not left:
            break
        begin, end = (moment + timedelta(seconds=left[each]) for each in (0, -1))
        for first, last in openings(windows, begin, end + late, duration):
            # Each machine begins from its delay on, and before it is too late.
            lowest = bisect_right(left, (first - moment - late).total_seconds())
            del left[lowest : bisect_right(left, (last - moment).total_seconds())]
    return left


def _message(schedule: CompiledSchedule, shut: Sequence[_Shut], total: int, now: datetime) -> str:
    moments = list(_moments(schedule, now))
    worst, *others = shut
    count = sum(each.machines for each in shut)
    machines = counted(total, "machine")
    of_them = f"its {machines}" if count == total else f"{count:,} of its {machines}"
    last = shown_moment(schedule, moments[-1])
    times = f"none of its next {len(moments):,} times, up to {last}, is"
    if len(moments) == 1:
        times = f"its time, {last}, is not"
    whose = f"group {worst.level}" if worst.level else "the Fleet document"
    more = f" (nor of {counted(len(others), 'more group')})" if others else ""
    return (
        f"schedule {schedule.name} never begins on {of_them}: {times} within the windows of "
        f"{whose} at {worst.windows.position}{more}. At {shown_moment(schedule, worst.first)}: "
        f"{worst.why}"
    )
