"""What agents know of finished work, and the ledger does not.

An agent's certificate is of our authority: that it knows an operation which the ledger does not
know, or has yet to finish, means that the ledger is not the one that was written. One machine
may lie, so that one blocks itself alone; two make the fleet observe-only. What a machine
finished before a person accepted the ledger as it was is what that person knew.
"""

from datetime import datetime

import structlog

from agent.wire.report import InstalledSystem
from agent.wire.work import OperationEvent
from reconciler.server.control_plane import ControlPlane
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.operation_states import AT_WORK, OperationState
from specs.fleet import CompiledMachine

BLOCKS = "RW748"
"""How the reason of such a quarantine begins."""
_MACHINES = 2
"""So many make it the ledger's fault."""
_SHORT = 12

log = structlog.get_logger(__name__)


class Contradictions:
    """Notices what the ledger cannot have forgotten."""

    def __init__(self, plane: ControlPlane, lines: LedgerLines) -> None:
        self._plane = plane
        self._lines = lines

    def reported(self, machine: CompiledMachine, system: InstalledSystem) -> str:
        """Compare what installed a machine's system with the ledger.

        Return when that operation was verified; empty where it is not.
        """
        if not system.operation:
            return ""
        status = self._plane.status(system.operation)
        if status is not None:
            return status.at.isoformat() if status.state is OperationState.VERIFIED else ""
        if not self._is_accepted(system.finished):
            cause = f"operation {system.operation[:_SHORT]} installed it, which the ledger lacks"
            self._block(machine, cause)
        return ""

    def refused(self, key: str, op_id: str, event: OperationEvent) -> None:
        """Take notice that an agent finished the work that it was given once more."""
        machine = self._plane.reconciler.fleet.machines.get(key)
        status = self._plane.status(op_id)
        if status is not None and status.state in AT_WORK and self._plane.is_of(status, key):
            reason = f"{event.code}: {event.message}. {event.action}."
            self._plane.fail(status, reason, status.operation.machine)
        if machine is not None and not self._is_accepted(event.result.get("finished", "")):
            self._block(machine, f"it finished operation {op_id[:_SHORT]} before")

    def _is_accepted(self, finished: str) -> bool:
        """Return whether a person accepted the ledger after the work was finished."""
        accepted = self._lines.accepted_at()
        if accepted is None:
            return False
        try:
            return not finished or datetime.fromisoformat(finished) <= accepted
        except (TypeError, ValueError):
            return False

    def _block(self, machine: CompiledMachine, cause: str) -> None:
        plane = self._plane
        reason = f"{BLOCKS}: the ledger does not know what this machine did: {cause}"
        known = plane.machines.quarantine(machine.name, machine.hardware_identities)
        if not known:
            plane.machines.set_quarantine(
                machine.name, machine.hardware_identities, reason, plane.now()
            )
            log.error("machine quarantined", machine=machine.name, reason=reason)
        accepted = self._lines.accepted_at()
        blocked = [
            each.machine
            for each in plane.machines.quarantines()
            if each.reason.startswith(BLOCKS) and (accepted is None or each.at > accepted)
        ]
        if len(blocked) >= _MACHINES:
            named = ", ".join(sorted(blocked)[:_MACHINES])
            plane.reconciler.observe_only(
                "RW746", f"{len(blocked)} machines did work that the ledger does not know: {named}"
            )
