"""The fleet as it was last heard of: for plans and ``status``, never for one packet."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import select

from reconciler.state import schema
from reconciler.state.breakers import Breakers
from reconciler.state.database import Database
from reconciler.state.delays import Delays
from reconciler.state.faults import Faults
from reconciler.state.hardware import FleetHardware
from reconciler.state.machines import OBSERVATION, Machines, quarantines
from reconciler.state.observation import ObservationRow, Recorded, observed_machine
from reconciler.state.observed import BUDGET_WINDOW, Observed, ObservedImage, ObservedMachine
from reconciler.state.operations import UNDER_WAY, Operations
from reconciler.state.reboot_locks import RebootLocks
from reconciler.state.rollouts import Rollouts
from reconciler.state.updates import UpdateRecords
from specs.fleet import CompiledMachine

FEW = 200
"""Machines that are read one at a time; more are read together."""


def observe(
    database: Database,
    machines: Iterable[CompiledMachine],
    images: Mapping[str, ObservedImage],
    now: datetime,
    fleet: FleetHardware | None = None,
) -> Observed:
    """Return what is known of a whole fleet, and all operations that still decide something.

    ``fleet`` is the hardware of these machines, where a caller has it at hand.
    """
    machines = tuple(machines)
    fleet = fleet or FleetHardware(machines)
    operations, rollouts = Operations(database), Rollouts(database)
    recorded = _recorded(database, now)
    return Observed(
        machines=_machines(database, machines, fleet, recorded),
        images=images,
        operations=operations.current(),
        captures=operations.captures(),
        reboot_locks=RebootLocks(database).held(),
        work_begun=operations.work_begun(now - BUDGET_WINDOW),
        faults=Faults(database).present(),
        breakers=Breakers(database).open_ones(),
        rollouts=tuple(map(rollouts.progress, rollouts.active())),
        held=rollouts.holds(),
        unhealthy=rollouts.unhealthy(),
        delays=Delays(database).present(),
        updates=UpdateRecords(database).all(fleet),
    )


def observe_few(  # noqa: PLR0913, PLR0917 - what ``observe`` takes, and which machines
    database: Database,
    names: Collection[str],
    machines: Mapping[str, CompiledMachine],
    images: Mapping[str, ObservedImage],
    now: datetime,
    fleet: FleetHardware,
) -> Observed | None:
    """Return of some machines what ``observe`` does of all, each read by itself.

    ``machines`` are all of the fleet by name, and ``fleet`` is their hardware. Machines with
    approved work are read too: they may have to wait for each other. None where so many are
    wanted that reading all takes no longer.
    """
    if len(names) > FEW:
        return None
    operations, rollouts = Operations(database), Rollouts(database)
    identities = [each for name in names for each in machines[name].hardware_identities]
    current = operations.of_hardware(identities, or_in=UNDER_WAY)
    owners = (fleet.owner(each.operation.identities) for each in current)
    wanted = {*names, *(name for name in owners if name is not None)}
    if len(wanted) > FEW:
        return None
    seen = Machines(database)
    return Observed(
        machines={name: seen.seen(machines[name], fleet, now) for name in wanted},
        images=images,
        operations=current,
        captures=operations.captures(),
        reboot_locks=RebootLocks(database).held(),
        work_begun=operations.work_begun(now - BUDGET_WINDOW),
        faults=Faults(database).present(),
        breakers=Breakers(database).open_ones(),
        rollouts=tuple(map(rollouts.progress, rollouts.active())),
        held=rollouts.holds(),
        unhealthy=rollouts.unhealthy(),
        delays=Delays(database).present(),
    )


def _machines(
    database: Database,
    machines: Iterable[CompiledMachine],
    fleet: FleetHardware,
    recorded: Recorded,
) -> dict[str, ObservedMachine]:
    with database.reading() as connection:
        found = connection.execute(select(*OBSERVATION)).all()
    rows: dict[str, list[ObservationRow]] = {}
    for each in found:
        row = ObservationRow(*each)
        owner = fleet.owner(tuple(row.identities.split(" ")))
        if owner is not None:
            rows.setdefault(owner, []).append(row)
    return {
        machine.name: observed_machine(machine, rows.get(machine.name, ()), recorded)
        for machine in machines
    }


def _recorded(database: Database, now: datetime) -> Recorded:
    client, protection = schema.boot_client, schema.protection
    with database.reading() as connection:
        boots = connection.execute(
            select(client.c.mac, client.c.boot_at).where(client.c.boot_at.is_not(None))
        ).all()
        protected = connection.execute(select(protection.c.identity, protection.c.place)).all()
        return Recorded(
            load=Machines(database).report,
            read_at=now,
            boots={row.mac: row.boot_at for row in boots},
            quarantines=quarantines(connection),
            protections={row.identity: row.place for row in protected},
        )
