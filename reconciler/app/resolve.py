"""A person's word on operations of which nobody knows how they ended: ``rackwright resolve``."""

from collections.abc import Iterable
from datetime import datetime

from reconciler.app.machine_selection import hardware_of
from reconciler.errors import ReconcilerError
from reconciler.state.boots import Boots
from reconciler.state.database import Database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.machine_history import MachineHistory
from reconciler.state.machines import Machines
from reconciler.state.observed import ObservedMachine
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState, resolved
from reconciler.state.operations import Operations
from reconciler.views.unresolved_text import Unresolved
from specs.fleet import CompiledFleet, CompiledMachine

_MOST_BOOTS = 200


class Resolutions:
    """Finds indeterminate operations with the evidence of each, and ends them."""

    def __init__(self, database: Database, fleet: CompiledFleet, now: datetime) -> None:
        self._now = now
        self._fleet = fleet
        self._hardware = FleetHardware(fleet.machines.values())
        self._ledger = Ledger(database)
        self._history = MachineHistory(database)
        self._boots = Boots(database)
        self._machines = Machines(database)
        self._indeterminate = Operations(database).current((OperationState.INDETERMINATE,))

    def of_names(self, names: Iterable[str]) -> tuple[Unresolved, ...]:
        """Return what is indeterminate of machines by name; AuthoringError as ``hardware_of``."""
        return self._of(hardware_of(self._fleet, self._ledger, name) for name in names)

    def of_machines(self, machines: Iterable[CompiledMachine]) -> tuple[Unresolved, ...]:
        """Return what is indeterminate of machines."""
        return self._of(each.hardware_identities for each in machines)

    def of_all(self) -> tuple[Unresolved, ...]:
        """Return all that is indeterminate, also of hardware that no document has any more."""
        return self._of(each.operation.identities for each in self._indeterminate)

    def _of(self, machines: Iterable[tuple[str, ...]]) -> tuple[Unresolved, ...]:
        identities = {each for machine in machines for each in machine}
        found = {
            status.operation.op_id: status
            for status in self._indeterminate
            if identities.intersection(status.operation.identities)
        }
        past = self._history.of_operations(found)
        return tuple(
            Unresolved(
                found[each.operation.op_id],
                each,
                self._seen(found[each.operation.op_id]),
                tuple(
                    boot
                    for boot in self._boots.timeline(each.operation.instructions.macs, _MOST_BOOTS)
                    if boot.at > each.begun_at
                ),
            )
            for each in past
        )

    def _seen(self, status: OperationStatus) -> ObservedMachine:
        owner = self._hardware.owner(status.operation.identities)
        if owner is None:
            return ObservedMachine()
        return self._machines.seen(self._fleet.machines[owner], self._hardware, self._now)

    def resolve(
        self, found: Iterable[Unresolved], actor: str, reason: str, *, did_run: bool
    ) -> None:
        """End the operations as a person says they ended: all or none.

        StateError RW704 where another process moved one meanwhile.
        """
        said = "it did run" if did_run else "it did not run"
        with self._ledger.writing() as connection:
            for each in found:
                self._ledger.move_within(
                    connection,
                    each.status.operation.op_id,
                    OperationState.INDETERMINATE,
                    resolved(did_run=did_run),
                    attempt=each.status.attempt,
                    at=self._now,
                    actor=actor,
                    reason=f"{actor} says that {said}: {reason}",
                )


def require_meant_together(found: Iterable[Unresolved], *, everything: bool) -> None:
    """Refuse to end the operations of several machines unless all of them are meant (RW967)."""
    machines = {each.status.operation.machine for each in found}
    if len(machines) > 1 and not everything:
        raise ReconcilerError(
            "RW967",
            f"{len(machines)} machines are meant, and each may have ended in another way",
            "Name one machine, or say --all if one answer holds for each of them",
        )
