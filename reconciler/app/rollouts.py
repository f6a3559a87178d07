"""What people do with rollouts: begin them by an approval, halt, resume and abort them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from reconciler.errors import ReconcilerError
from reconciler.loop.rollout_moves import ended_badly
from reconciler.planning.rollouts import planned_rollouts
from reconciler.state.database import Database
from reconciler.state.health_programs import missing_program
from reconciler.state.ledger import Ledger
from reconciler.state.operation import Operation
from reconciler.state.operation_states import OperationState
from reconciler.state.operations import Operations
from reconciler.state.rollouts import (
    NewRollout,
    Outcome,
    Rollout,
    Rollouts,
    RolloutTerms,
    abort_within,
    begin_rollout,
    not_in_state,
)
from reconciler.state.runs import Run
from specs.fleet import CompiledFleet


def begin_within(
    connection: Connection, fleet: CompiledFleet, run: Run, operations: Iterable[Operation]
) -> None:
    """Write down in which waves the disks of a run are overwritten, where documents say any.

    A part of the transaction that approves the operations.
    """
    of_machine: dict[str, list[str]] = {}
    for each in operations:
        if each.destructive:
            of_machine.setdefault(each.machine, []).append(each.op_id)
    names = {op_id: machine for machine, op_ids in of_machine.items() for op_id in op_ids}
    for planned in planned_rollouts(fleet, of_machine):
        terms = RolloutTerms(
            waves=tuple(wave.name for wave in planned.waves),
            health=planned.terms.health,
            max_failures=planned.terms.max_failures,
        )
        waves = tuple(
            tuple(op_id for machine in wave.machines for op_id in of_machine[machine])
            for wave in planned.waves
        )
        begin_rollout(connection, run, NewRollout(planned.group, terms, waves), names)


def halt(database: Database, rollout: Rollout, actor: str, reason: str, now: datetime) -> None:
    """Let nothing more of a rollout begin; StateError RW656 where it is not running."""
    is_running = rollout.state == "running"
    if not is_running or not Rollouts(database).halt(rollout, now, actor, reason, by_person=True):
        raise not_in_state(rollout, "halted", "running")


def resume(database: Database, rollout: Rollout, actor: str, reason: str, now: datetime) -> None:
    """Let a halted rollout go on; what failed or was withdrawn by now is accepted as it is.

    StateError RW656 where it is not halted.
    """
    rollouts = Rollouts(database)
    late = {
        each.op_id: each.reason
        for each in rollouts.members(rollout.rollout_id)
        if each.wave <= rollout.wave and not each.outcome and ended_badly(each)
    }
    rollouts.resume(rollout, late, now, actor, reason)


def abort(database: Database, rollout: Rollout, actor: str, reason: str, now: datetime) -> int:
    """End a rollout and cancel what has not begun of it; return how many operations that is.

    What is armed or at work goes on to its end. StateError RW656 where the rollout has ended.
    """
    ledger, operations = Ledger(database), Operations(database)
    members = Rollouts(database).members(rollout.rollout_id)
    mine = {each.op_id for each in members if not each.outcome}
    unseen: tuple[Outcome, str] = "accepted", "its work is verified, its health was not seen"
    verified = {
        each.op_id: unseen
        for each in members
        if not each.outcome and each.state is OperationState.VERIFIED
    }
    with ledger.writing() as connection:
        waiting = [
            status
            for status in operations.current((OperationState.APPROVED,))
            if status.operation.op_id in mine
        ]
        cancelled: tuple[Outcome, str] = "withdrawn", f"the rollout was aborted: {reason}"
        withdrawn = {status.operation.op_id: cancelled for status in waiting}
        abort_within(connection, rollout, {**verified, **withdrawn}, now, actor, reason)
        for status in waiting:
            ledger.move_within(
                connection,
                status.operation.op_id,
                OperationState.APPROVED,
                OperationState.CANCELLED,
                attempt=status.attempt,
                at=now,
                actor=actor,
                reason=f"rollout {rollout.rollout_id} was aborted. {actor} says: {reason}",
            )
    return len(waiting)


def require_health_checks(
    state: Path, fleet: CompiledFleet, operations: Iterable[Operation]
) -> None:
    """Refuse to approve work whose machines' health cannot be asked for here.

    ReconcilerError RW658 where a program is not there or cannot be run.
    """
    machines = [each.machine for each in operations if each.destructive]
    for planned in planned_rollouts(fleet, machines):
        command = planned.terms.health.command
        missing = missing_program(state, command[0]) if command else ""
        if missing:
            raise ReconcilerError(
                "RW658",
                f"the health check of the rollout of {planned.whose} cannot be run: {missing}",
                "Put the program there and make it executable, or take it out of "
                "rollout.health.command",
            )
