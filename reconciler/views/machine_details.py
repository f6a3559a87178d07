"""What is shown of one machine, and its form as JSON: times are ISO 8601 in UTC, sizes bytes."""

from datetime import datetime
from typing import Any, NamedTuple

from attrs import asdict

from reconciler.planning.conditions import MachineCondition
from reconciler.planning.upcoming_work import UpcomingWork
from reconciler.state.boots import BootEvent
from reconciler.state.hand_results import asked_for
from reconciler.state.inventory_head import InventoryHead
from reconciler.state.machine_history import PastOperation
from reconciler.state.observed import ObservedMachine, Quarantine, TimedReport
from reconciler.views.inventory_documents import inventory_summary
from reconciler.views.schedule_words import upcoming_document

FORMAT = "rackwright-machine/1"


class MachineDetails(NamedTuple):
    """One machine: what Git says, what was heard, what was done."""

    name: str
    revision: str
    wanted: tuple[tuple[str, str], ...]
    """Every effective value by its field; ``rackwright explain`` says where each is written."""
    condition: MachineCondition
    seen: ObservedMachine
    quarantine: Quarantine | None
    boots: tuple[BootEvent, ...]
    """The newest first, those that are kept."""
    operations: tuple[PastOperation, ...]
    """The newest first, those that are kept."""
    scheduled: tuple[UpcomingWork, ...] = ()
    """What schedules do next on it, the soonest first."""
    inventory: InventoryHead | None = None
    """What its agent said last of what is installed."""


def machine_document(details: MachineDetails, now: datetime) -> dict[str, Any]:
    """Return all that is wanted, known and recorded of a machine."""
    state, quarantine = details.condition, details.quarantine
    return {
        "format": FORMAT,
        "machine": details.name,
        "displayName": state.display_name,
        "groupDisplayName": state.group_display_name,
        "scenarioDisplayName": state.scenario_display_name,
        "revision": details.revision,
        "condition": {
            "condition": state.condition,
            "reason": state.reason,
            "since": _time(state.since),
            "lastSeen": _time(state.last_seen),
        },
        "further": further_documents(state),
        "quarantine": quarantine and {"reason": quarantine.reason, "at": _time(quarantine.at)},
        "wanted": dict(details.wanted),
        "scheduled": [
            {**upcoming_document(each), "begins": _time(each.moment + each.delay)}
            for each in details.scheduled
        ],
        "deployOs": _report(details.seen.ramdisk),
        "installed": _report(details.seen.installed),
        "inventory": inventory_summary(details.inventory),
        "boots": [{**asdict(each), "at": _time(each.at)} for each in details.boots],
        "operations": [operation_document(each, now) for each in details.operations],
    }


def further_documents(state: MachineCondition) -> list[dict[str, Any]]:
    """Return what holds of a machine besides its condition."""
    return [
        {
            "type": each.type,
            "reason": each.reason,
            "since": _time(each.since),
            "values": [value._asdict() for value in each.values],
        }
        for each in state.further
    ]


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _report(heard: TimedReport | None) -> dict[str, Any] | None:
    return None if heard is None else {"at": _time(heard.at), **asdict(heard.report)}


def operation_document(each: PastOperation, now: datetime) -> dict[str, Any]:
    """Return all that is recorded of one operation."""
    operation = each.operation
    return {
        "operation": operation.op_id,
        "kind": operation.kind,
        "machine": operation.machine,
        "scenario": operation.scenario,
        "run": operation.run,
        **({"asked": asked} if (asked := asked_for(operation)) else {}),
        "revision": operation.revision,
        "disks": [disk.key() for disk in operation.instructions.disks],
        "state": each.state.value,
        "approvedBy": each.approved_by,
        "seconds": each.seconds(now),
        "events": [
            {
                "state": line.state.value,
                "attempt": line.attempt,
                "at": _time(line.at),
                "by": line.actor,
                "reason": line.reason,
            }
            for line in each.lines
        ],
        "delays": [
            {"why": delay.why, "since": _time(delay.since), "until": _time(delay.until)}
            for delay in each.delays
        ],
        "steps": [
            {
                "attempt": step.attempt,
                "step": operation.instructions.steps[step.step].STEP_TYPE,
                "at": _time(step.began_at),
                "ended": _time(step.ended_at),
                "bytes": step.bytes_done,
                "result": dict(step.result),
            }
            for step in each.known_steps
        ],
    }
