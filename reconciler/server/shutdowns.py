"""What agents say of shutdowns and restarts of installed systems that wait for people."""

import structlog

from agent.plain_text import plain_text
from agent.wire.work import OperationEvent
from reconciler.loop.power_job import SYSTEM_ACTIONS, asked
from reconciler.loop.power_requests import occurrence_of
from reconciler.server.control_plane import ControlPlane
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import AT_WORK

_LONGEST = 700
log = structlog.get_logger(__name__)


def told_of_schedule(plane: ControlPlane, key: str, name: str, event: OperationEvent) -> None:
    """Keep in the machine's part of a schedule's occurrence what it waits for, and what came of it.

    What is said of a request that nobody claimed changes nothing.
    """
    said, found = plain_text(event.message, _LONGEST), occurrence_of(name)
    if found is None or (not said and event.kind == "progress"):
        return
    log.info("shutdown of a schedule", machine=key, request=name, kind=event.kind, said=said)
    schedule, moment = found
    known = plane.reconciler.fleet.schedules.get(schedule)
    if known is None or known.power not in SYSTEM_ACTIONS:
        return
    action = asked(SYSTEM_ACTIONS[known.power])
    reason, gave_up = (f"{action}: {said}" if said else action), event.kind == "failed"
    plane.schedule_history.tell(schedule, moment, key, reason, "left-out" if gave_up else "done")


def told_of_restart(
    plane: ControlPlane, key: str, op_id: str, event: OperationEvent
) -> OperationStatus | None:
    """Keep what an operation waits for at its machine; return it where it wants no restart now."""
    status = plane.own_operation(key, op_id)
    if status is None:
        return None
    if event.kind == "progress" and status.state not in AT_WORK:
        return status
    said = plain_text(event.message, _LONGEST)
    why = f"the people at its machine: {said}" if said else ""
    if event.kind == "done":
        why = f"the restart of its machine ({said})" if said else "the restart of its machine"
    elif event.kind == "failed":
        why = f"a restart of its machine, which did not happen: {said}"
    log.info("restart for work", machine=key, operation=op_id, kind=event.kind, said=said)
    if status.state in AT_WORK:
        plane.reconciler.delays.note(op_id, why, plane.now())
    return None
