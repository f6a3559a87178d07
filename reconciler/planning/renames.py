"""Machines whose name in Git is not the one that their hardware was last seen under. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.hardware import FleetHardware
from reconciler.observed import Observed
from specs.compiled import CompiledFleet

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rename:
    """One machine that has another name now; its history goes on."""

    before: str
    after: str
    hardware: str
    """Its ``hardware_identity``."""


def renames(desired: CompiledFleet, observed: Observed) -> tuple[Rename, ...]:
    """Return the renamed machines, in the order of their names in Git.

    The name before is the newest that an observation or an operation of the hardware
    carries: once something is heard under the new name, the rename is history.
    """
    newest: dict[str, tuple[str, datetime]] = {}
    for name, seen in observed.machines.items():
        known = seen.known_as
        if known is not None:
            newest[name] = known
    fleet = FleetHardware(desired.machines.values())
    for status in observed.operations:
        owner = fleet.owner(status.operation.identities)
        if owner is not None and (owner not in newest or newest[owner][1] < status.at):
            newest[owner] = (status.operation.machine, status.at)
    return tuple(
        Rename(newest[name][0], name, machine.hardware_identity)
        for name, machine in desired.machines.items()
        if name in newest and newest[name][0] != name
    )
