"""Machines whose name in Git is not the one that their hardware was last seen under. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.operation import OperationStatus
from specs.fleet import CompiledFleet


class Rename(NamedTuple):
    """One machine that has another name now; its history goes on."""

    before: str
    after: str
    hardware: str
    """Its ``hardware_identity``."""


def renames(desired: CompiledFleet, observed: Observed) -> tuple[Rename, ...]:
    """Return the renamed machines, in the order of their names in Git."""
    operations: defaultdict[str, list[OperationStatus]] = defaultdict(list)
    fleet = FleetHardware(desired.machines.values())
    for status in observed.operations:
        owner = fleet.owner(status.operation.identities)
        if owner is not None:
            operations[owner].append(status)
    found = []
    for name, machine in desired.machines.items():
        seen = observed.machines.get(name, ObservedMachine())
        before = former_name(name, seen, operations.get(name, ()))
        if before:
            found.append(Rename(before, name, machine.hardware_identity))
    return tuple(found)


def former_name(name: str, seen: ObservedMachine, operations: Iterable[OperationStatus]) -> str:
    """Return what the machine ``name`` was called before; empty where it has kept its name.

    That is the newest name that an observation or an operation of its hardware carries:
    once something is heard under the new name, the rename is history.
    """
    known = seen.known_as
    newest, at = known or ("", None)
    for status in operations:
        if at is None or at < status.at:
            newest, at = status.operation.machine, status.at
    return "" if newest == name else newest
