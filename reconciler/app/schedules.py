"""What schedules did and will do, for people: ``rackwright schedule``."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import ReconcilerError
from reconciler.planning.schedules import Occurrence, upcoming
from reconciler.state.schedule_history import MachinePart, PastOccurrence, ScheduleHistory
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledSchedule

if TYPE_CHECKING:
    from reconciler.app.project import Project

SHOWN = 5
"""Occurrences that are shown, of those that come and of those that were."""


class ShownOccurrence(NamedTuple):
    """An occurrence that was, and how many of its machines stand where."""

    occurrence: PastOccurrence
    counts: Mapping[str, int]


class ShownSchedule(NamedTuple):
    """A schedule with what comes and what was."""

    schedule: CompiledSchedule
    machines: int
    """How many it selects."""
    following: tuple[Occurrence, ...]
    past: tuple[ShownOccurrence, ...]
    """The newest first."""


def schedules_of(project: "Project", now: datetime) -> tuple[ShownSchedule, ...]:
    """Return all schedules of the fleet, by their names."""
    history = ScheduleHistory(project.database) if project.has_state else None
    selected: dict[str, int] = {}
    for machine in project.fleet.machines.values():
        for name in machine.schedules:
            selected[name] = selected.get(name, 0) + 1
    return tuple(
        ShownSchedule(
            schedule,
            selected.get(name, 0),
            tuple(upcoming(schedule, now, SHOWN)),
            _past(history, name),
        )
        for name, schedule in sorted(project.fleet.schedules.items())
    )


def find_schedule(project: "Project", name: str, now: datetime) -> ShownSchedule:
    """Return one schedule; ReconcilerError RW950 with the nearest name where there is none."""
    found = {each.schedule.name: each for each in schedules_of(project, now)}
    if name in found:
        return found[name]
    nearest = NearestNames().find(name, sorted(found))
    guess = f"; did you mean {nearest}?" if nearest else ""
    raise ReconcilerError(
        "RW950", f"there is no schedule {name}{guess}", "`rackwright schedule ls` lists them"
    )


def machines_of(project: "Project", occurrence: PastOccurrence) -> tuple[MachinePart, ...]:
    """Return what became of each machine at an occurrence, by their names."""
    return tuple(ScheduleHistory(project.database).machines(occurrence).values())


def _past(history: ScheduleHistory | None, name: str) -> tuple[ShownOccurrence, ...]:
    if history is None:
        return ()
    return tuple(
        ShownOccurrence(each, history.counts(each)) for each in history.newest(name, SHOWN)
    )
