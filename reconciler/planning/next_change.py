"""When a machine's plan may change by itself, for whoever plans it again in time. Pure."""

from datetime import datetime, timedelta

from reconciler.state.observed import ObservedMachine
from specs.fleet import CompiledFleet, CompiledMachine

_MOMENT = timedelta(microseconds=1)


def next_change(
    fleet: CompiledFleet, machine: CompiledMachine, seen: ObservedMachine, now: datetime
) -> datetime | None:
    """Return the next time at which the machine's plan may be another; None if never.

    Time enters a plan by the age of reports and by the ends of holds, nowhere else.
    """
    max_age = timedelta(seconds=fleet.settings.observation_max_age_seconds)
    times = [hold.until for hold in fleet.holds if hold.name in machine.holds]
    # A report as old as it may be is too old in the next moment.
    times += [each.at + max_age + _MOMENT for each in (seen.ramdisk, seen.installed) if each]
    return min((time for time in times if time > now), default=None)
