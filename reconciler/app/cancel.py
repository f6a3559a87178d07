"""Cancelling work at any step: ``rackwright cancel``."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

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
        return self._cancellable(
            status
            for status in self._operations.current(ACTIVE)
            if identities.intersection(status.operation.identities)
        )

    def of_run(self, run: Run) -> tuple[Cancellable, ...]:
        """Return what is under way of a run."""
        return self._cancellable(self._operations.active(self._runs.op_ids(run)))

    def cancel(self, each: Cancellable, actor: str, reason: str, now: datetime) -> str:
        """Cancel an operation; return what that means for its machine, as a clause.

        ReconcilerError RW946 where it is too late, RW947 where it went on since ``each`` was
        read. StateError RW704 where another process moved the operation meanwhile.
        """
        with self._ledger.writing() as connection:  # nobody else writes from here on
            self._cancel(connection, each, actor, reason, now)
        return each.consequence

    def _cancel(
        self, connection: Connection, each: Cancellable, actor: str, reason: str, now: datetime
    ) -> None:
        status = each.status
        op_id = status.operation.op_id
        fresh = next(iter(self._cancellable(self._operations.active([op_id]))), each)
        if not each.refusal and (fresh.refusal or fresh.consequence != each.consequence):
            raise ReconcilerError(
                "RW947",
                f"operation {op_id[:12]} of {status.operation.machine} went on meanwhile: "
                f"{fresh.refusal or fresh.consequence}",
                "Say it again if it shall be cancelled all the same",
            )
        if each.refusal:
            raise ReconcilerError(
                "RW946",
                f"operation {status.operation.op_id[:12]} of {status.operation.machine} cannot be "
                f"cancelled: {each.refusal}",
                "Wait until it ends",
            )
        self._ledger.move_within(
            connection,
            status.operation.op_id,
            status.state,
            OperationState.CANCELLED,
            attempt=status.attempt,
            at=now,
            actor=actor,
            reason=f"{each.consequence}. {actor} says: {reason}",
        )

    def _cancellable(self, statuses: Iterable[OperationStatus]) -> tuple[Cancellable, ...]:
        found = tuple(statuses)
        furthest = self._operations.furthest_steps([each.operation.op_id for each in found])
        return tuple(consequence_of(each, furthest.get(each.operation.op_id)) for each in found)


LONGEST_REASON = 1000
"""Characters of a reason: it is shown on one line of a history."""
_SAY_WHY = "Say why with --reason TEXT: it is kept in the history"


def require_reason(reason: str) -> None:
    """Refuse to act without a reason (RW941), or with one that ``require_keepable`` refuses."""
    if not reason.strip():
        raise ReconcilerError("RW941", "no reason is given", _SAY_WHY)
    require_keepable(reason)


def require_keepable(reason: str) -> None:
    """Refuse a reason that cannot be kept: no text (RW941), or too long (RW974)."""
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise ReconcilerError("RW941", "the reason is no UTF-8 text", _SAY_WHY) from None
    if len(reason) > LONGEST_REASON:
        raise ReconcilerError(
            "RW974",
            f"the reason has {len(reason):,} characters, more than {LONGEST_REASON:,}",
            "Say it shortly, and where the rest is written",
        )


def consequence_of(status: OperationStatus, furthest: int | None) -> Cancellable:
    """Return what cancelling an operation now would mean. Pure.

    ``furthest`` is the last step that any attempt began, None where none was claimed. An
    agent that is at work hears of it with its next word to the server, and stops: within a
    second or so while it moves bytes.
    """
    if furthest is None:
        return Cancellable(status, "nothing was begun")
    if status.steps_done:
        return Cancellable(status, "", "all its steps are done, only the proof is missing")
    begun = status.operation.instructions.steps[: furthest + 1]
    disks = [step.disk.key() for step in begun if isinstance(step, Restore)]
    if not disks:
        return Cancellable(status, "no disk was written")
    what = ", ".join(dict.fromkeys(disks))
    return Cancellable(
        status, f"disk {what} is overwritten in part: it must be restored before it is used"
    )
