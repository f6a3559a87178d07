"""Schedules as JSON data. Times are ISO 8601 in UTC, durations seconds."""

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.planning.schedules import Occurrence
from reconciler.state.schedule_history import MachinePart, PastOccurrence
from specs.fleet import CompiledSchedule


def schedule_document(
    schedule: CompiledSchedule,
    machines: int,
    following: Iterable[Occurrence],
    past: Iterable[tuple[PastOccurrence, Mapping[str, int]]],
) -> dict[str, Any]:
    """Return a schedule, what comes and what was."""
    return {
        "schedule": schedule.name,
        "displayName": schedule.display_name,
        "scenario": schedule.scenario,
        "power": schedule.power,
        "machines": machines,
        "at": schedule.at.isoformat() if schedule.at else None,
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "window": schedule.window_seconds,
        "missed": schedule.missed,
        "startInterval": schedule.start_interval_seconds,
        "jitter": schedule.jitter_seconds,
        "approved": schedule.approved,
        "next": [{"at": each.moment.isoformat(), "leftOut": each.left_out} for each in following],
        "last": [
            {
                "at": each.moment.isoformat(),
                "state": each.state,
                "reason": each.reason,
                "run": each.run_id,
                "counts": dict(counts),
            }
            for each, counts in past
        ],
    }


def machine_document(part: MachinePart) -> dict[str, str]:
    """Return what became of one machine."""
    return {
        "machine": part.machine,
        "state": part.state,
        "reason": part.reason,
        "operation": part.op_id,
        "at": part.at.isoformat(),
    }
