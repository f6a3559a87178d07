"""What schedules do, in words that every output shares. Plain text: each output escapes it."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import TypedDict

from reconciler.planning.schedules import zone_of
from reconciler.planning.upcoming_work import UpcomingWork
from specs.diagnostics.quote import counted
from specs.fleet import CompiledSchedule
from specs.types.display_name import named


class ScheduledDocument(TypedDict):
    """The next time of a schedule."""

    schedule: str
    displayName: str
    scenario: str
    """Empty where it is about power."""
    power: str
    """``on``, ``off`` or ``reboot``; empty where it runs a scenario."""
    machines: int
    at: str
    timeZone: str
    """Of its cron; empty where it has one moment."""


def action(schedule: CompiledSchedule) -> str:
    """Return ``scenario backup`` or ``power off``."""
    return f"power {schedule.power}" if schedule.power else f"scenario {schedule.scenario}"


def when(schedule: CompiledSchedule, moment: datetime, now: datetime) -> str:
    """Return ``Sun 29 Nov 22:00 Asia/Tokyo``, in the schedule's zone; the year where it changes."""
    zone = zone_of(schedule)
    local = moment.astimezone(zone)
    year = f" {local.year}" if local.year != now.astimezone(zone).year else ""
    name = schedule.time_zone or local.tzname()
    return f"{local:%a} {local.day} {local:%b}{year} {local:%H:%M} {name}"


def upcoming(work: UpcomingWork, now: datetime) -> str:
    """Return ``nightly-backup · scenario backup · 40 machines · Sun 29 Nov 22:00 Asia/Tokyo``."""
    schedule = work.schedule
    machines = counted(work.machines, "machine")
    title = named(schedule.display_name, schedule.name)
    return " · ".join((title, action(schedule), machines, when(schedule, work.moment, now)))


def more_upcoming(found: Sequence[UpcomingWork], shown: int) -> str:
    """Return how many schedules are not shown and where they are; empty where all are."""
    left = len(found) - shown
    if left <= 0:
        return ""
    return f"and {counted(left, 'more schedule')} (rackwright schedule ls)"


def upcoming_document(work: UpcomingWork) -> ScheduledDocument:
    """Return it as JSON data; the time is in UTC."""
    schedule = work.schedule
    return {
        "schedule": schedule.name,
        "displayName": schedule.display_name,
        "scenario": schedule.scenario,
        "power": schedule.power,
        "machines": work.machines,
        "at": work.moment.isoformat(),
        "timeZone": schedule.time_zone,
    }
