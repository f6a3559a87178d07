"""Telling cheaply whether anything changed that is known of a machine."""

from collections.abc import Iterable
from hashlib import blake2b

from reconciler.hardware import FleetHardware
from reconciler.store.database import Database
from specs.compiled import CompiledMachine

_STAMPS = "SELECT identities, stamp FROM machine_observation ORDER BY hardware"
_QUARANTINE = "SELECT identities, at || ' ' || reason FROM quarantine ORDER BY at"


def observation_fingerprints(
    database: Database,
    machines: Iterable[CompiledMachine],
    hardware: FleetHardware | None = None,
) -> dict[str, str]:
    """Return a short text per machine, by its ``hardware_identity``, for a cache of plans.

    It changes whenever something was written that the planner reads of this machine: its
    reports, contacts, boots, quarantine and operations, or when it becomes uncertain
    whose they are. Empty while nothing is known. What is no machine's own is not in it:
    images, budgets and captures. Boots count from the moment on that the MAC belongs to
    the machine, so that the cache has to look at the machine's document as well.
    ``hardware`` is of the same machines, for callers who have it at hand.
    """
    machines = tuple(machines)
    owners_of = (hardware or FleetHardware(machines)).owners_of
    stamps, quarantine = database.rows(_STAMPS, _QUARANTINE)
    known: dict[str, str] = {}
    for identities, stamp in stamps:
        owners = owners_of(identities)
        if len(owners) == 1 and owners[0] not in known:
            known[owners[0]] = stamp
            continue
        for name in owners:
            said = f"{known.get(name, '')} {stamp} {owners}"
            known[name] = _digest(said)
    found = {machine.hardware_identity: known.get(machine.name, "") for machine in machines}
    if quarantine:
        barred = [(set(identities.split(" ")), reason) for identities, reason in quarantine]
        for machine in machines:
            mine = {*machine.hardware_identities, f"name:{machine.name}"}
            reasons = [reason for barring, reason in barred if barring & mine]
            if reasons:
                said = f"{known.get(machine.name, '')} {reasons}"
                found[machine.hardware_identity] = _digest(said)
    return found


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
