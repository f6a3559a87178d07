"""Whose turn it is: which approved operations may begin now, and what holds the others. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from reconciler.loop.budget import Effect, Hold, Room, Work, budgets_of
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import BUDGET_WINDOW, Observed, ObservedMachine
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import AT_WORK, OperationState
from specs.fleet import CompiledFleet


class Turn(NamedTuple):
    """An approved operation that only a budget may still hold."""

    status: OperationStatus
    effect: Effect | None
    """None: budgets do not count it."""
    hold: Hold | None
    """The budget that it waits for; None: it may begin."""


def turns(
    desired: CompiledFleet, observed: Observed, now: datetime, hardware: FleetHardware
) -> Iterator[Turn]:
    """Yield the operations whose machine is free, in the order of their approval.

    Whatever may begin counts for those after it. What is held does not: where one
    budget is full, machines that it does not concern go on.
    """
    at_work = [status for status in observed.operations if status.state in AT_WORK]
    taken = {_machine(status.operation, hardware) for status in at_work}
    room = _room(desired, observed, now, hardware)
    for status in observed.operations:
        if status.state is not OperationState.APPROVED:
            continue
        machine = _machine(status.operation, hardware)
        seen = observed.machines.get(machine, ObservedMachine())
        if machine in taken or seen.quarantine:
            continue
        effect = _effect(status.operation, seen)
        work = None
        hold = None
        if effect is not None:
            work = _work(desired, hardware, status.operation.identities, machine, effect)
            hold = room.hold(work)
        if hold is None:
            taken.add(machine)
            if work is not None:
                room.begin(work)
        yield Turn(status, effect, hold)


def _machine(operation: Operation, hardware: FleetHardware) -> str:
    """Return the machine's present name; its hardware where the fleet does not know it."""
    return hardware.owner(operation.identities) or operation.hardware


def _effect(operation: Operation, seen: ObservedMachine) -> Effect | None:
    if operation.destructive:
        return Effect.DESTRUCTIVE
    return Effect.DISRUPTIVE if seen.system_may_run else None


def _work(
    desired: CompiledFleet,
    hardware: FleetHardware,
    identities: tuple[str, ...],
    machine: str,
    effect: Effect,
) -> Work:
    """Return the work as budgets count it: in all groups that the hardware may be in now."""
    owners = hardware.owners(identities)
    if len(owners) == 1:
        return Work(machine, desired.machines[owners[0]].groups, effect)
    groups = {group: None for owner in owners for group in desired.machines[owner].groups}
    return Work(machine, tuple(groups), effect)


def _room(
    desired: CompiledFleet, observed: Observed, now: datetime, hardware: FleetHardware
) -> Room:
    begun = []
    disruptive = set()
    for each in observed.beginnings:
        effect = Effect.DESTRUCTIVE if each.destructive else Effect.DISRUPTIVE
        if effect is Effect.DISRUPTIVE:
            disruptive.add(each.op_id)
        if now - each.at < BUDGET_WINDOW:
            machine = hardware.owner(each.identities) or each.hardware
            begun.append(_work(desired, hardware, each.identities, machine, effect))
    at_work = []
    for status in observed.operations:
        operation = status.operation
        if status.state in AT_WORK and (operation.destructive or operation.op_id in disruptive):
            effect = Effect.DESTRUCTIVE if operation.destructive else Effect.DISRUPTIVE
            machine = _machine(operation, hardware)
            at_work.append(_work(desired, hardware, operation.identities, machine, effect))
    return Room(budgets_of(desired.settings), at_work, begun)
