"""Cancelling work at any step: ``rackwright cancel``."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from agent.wire.step import Restore
from reconciler.app.machine_selection import hardware_of
from reconciler.errors import ReconcilerError
from reconciler.state.database import Database
from reconciler.state.ledger import Ledger
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState
from reconciler.state.operations import Operations
from reconciler.state.runs import Run, Runs
from specs.fleet import CompiledFleet, CompiledMachine


class Cancellable(NamedTuple):
    """One operation under way and what cancelling it now would mean."""

    status: OperationStatus
    consequence: str
    """As a clause: ``nothing was begun``."""
    refusal: str = ""
    """Why it cannot be cancelled any more, as a clause; empty where it can."""


class Cancellations:
    """Finds what is under way, and cancels it."""

    def __init__(self, database: Database, fleet: CompiledFleet) -> None:
        self._fleet = fleet
        self._ledger = Ledger(database)
        self._operations = Operations(database)
        self._runs = Runs(database)

    def of_machines(self, machines: Iterable[CompiledMachine]) -> tuple[Cancellable, ...]:
        """Return what is under way on machines, in the order of its last move."""
        return self._of_hardware(each.hardware_identities for each in machines)

    def of_names(self, names: Iterable[str]) -> tuple[Cancellable, ...]:
        """Return what is under way on machines by name; AuthoringError as ``hardware_of``."""
        return self._of_hardware(hardware_of(self._fleet, self._ledger, name) for name in names)

    def _of_hardware(self, machines: Iterable[tuple[str, ...]]) -> tuple[Cancellable, ...]:
        identities = {each for machine in machines for each in machine}
        return _cancellable(
            status
            for status in self._operations.current(ACTIVE)
            if identities.intersection(status.operation.identities)
        )

    def of_run(self, run: Run) -> tuple[Cancellable, ...]:
        """Return what is under way of a run."""
        return _cancellable(self._operations.active(self._runs.op_ids(run)))

    def cancel(self, each: Cancellable, actor: str, reason: str, now: datetime) -> str:
        """Cancel an operation; return what that means for its machine, as a clause.

        ReconcilerError RW946 where it is too late. StateError RW704 where another process
        moved the operation meanwhile.
        """
        status = each.status
        if each.refusal:
            raise ReconcilerError(
                "RW946",
                f"operation {status.operation.op_id[:12]} of {status.operation.machine} cannot be "
                f"cancelled: {each.refusal}",
                "Wait until it ends",
            )
        self._ledger.move(
            status.operation.op_id,
            status.state,
            OperationState.CANCELLED,
            attempt=status.attempt,
            at=now,
            actor=actor,
            reason=f"{each.consequence}. {actor} says: {reason}",
        )
        return each.consequence


def require_reason(reason: str) -> None:
    """Refuse to cancel without a reason (RW941)."""
    if not reason.strip():
        raise ReconcilerError(
            "RW941", "no reason is given", "Say why with --reason TEXT: it is kept in the history"
        )


def _cancellable(statuses: Iterable[OperationStatus]) -> tuple[Cancellable, ...]:
    return tuple(map(consequence_of, statuses))


def consequence_of(status: OperationStatus) -> Cancellable:
    """Return what cancelling an operation now would mean. Pure.

    An agent that is at work hears of it with its next word to the server, and stops: within a
    second or so while it moves bytes.
    """
    if status.state is not OperationState.STARTED:
        return Cancellable(status, "nothing was begun")
    steps = status.operation.instructions.steps
    if status.steps_done:
        return Cancellable(status, "", "all its steps are done, only the proof is missing")
    begun = steps[: status.step + 1]
    disks = [step.disk.key() for step in begun if isinstance(step, Restore)]
    if not disks:
        return Cancellable(status, "no disk was written")
    what = ", ".join(disks)
    return Cancellable(
        status, f"disk {what} is overwritten in part: it must be restored before it is used"
    )
