"""What machines and their agents said, by hardware: recording it, and reading it of one machine."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.codec import decode, encode
from agent.wire.report import Report
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.hardware import FleetHardware
from reconciler.state.installed_system import encode_installed
from reconciler.state.observation import (
    ObservationRow,
    Recorded,
    observed_machine,
    quarantine_of,
)
from reconciler.state.observed import ObservedMachine, Quarantine
from reconciler.state.reported_identities import record_identities
from specs.fleet import CompiledMachine

OBSERVATION = tuple(getattr(schema.machine_observation.c, name) for name in ObservationRow._fields)
"""The columns of an ``ObservationRow``."""

_OBSERVED = select(*OBSERVATION).where(
    schema.machine_observation.c.hardware.in_(
        select(schema.observed_identity.c.hardware).where(
            schema.observed_identity.c.identity.in_(bindparam("identities", expanding=True))
        )
    )
)
"""These are asked for with each look at a machine, so that they are not made anew each time."""
_BOOTS = select(schema.boot_client.c.mac, schema.boot_client.c.boot_at).where(
    schema.boot_client.c.mac.in_(bindparam("macs", expanding=True)),
    schema.boot_client.c.boot_at.is_not(None),
)
_PROTECTED = select(schema.protection.c.identity, schema.protection.c.place).where(
    schema.protection.c.identity.in_(bindparam("identities", expanding=True))
)
_QUARANTINES = select(schema.quarantine).order_by(
    schema.quarantine.c.at, schema.quarantine.c.hardware
)


class Machines:
    """What was heard of machines, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(
        self, machine: CompiledMachine, fleet: FleetHardware, now: datetime
    ) -> ObservedMachine:
        """Return what is known of one machine of a fleet, by a few indexed queries."""
        identities = {"identities": machine.hardware_identities}
        with self._database.reading() as connection:
            found = connection.execute(_OBSERVED, identities).all()
            boots = connection.execute(_BOOTS, {"macs": machine.macs}).all()
            protected = connection.execute(_PROTECTED, identities).all()
            quarantined = quarantines(connection)
        rows = (ObservationRow(*row) for row in found)
        own = [row for row in rows if fleet.owner(tuple(row.identities.split(" "))) == machine.name]
        recorded = Recorded(
            load=self.report,
            read_at=now,
            boots={row.mac: row.boot_at for row in boots},
            quarantines=quarantined,
            protections={row.identity: row.place for row in protected},
        )
        return observed_machine(machine, own, recorded)

    def report(self, hardware: str, environment: str) -> Report:
        """Return the newest report of a hardware and environment."""
        table = schema.machine_report
        query = select(table.c.body).where(
            table.c.hardware == hardware, table.c.environment == environment
        )
        with self._database.reading() as connection:
            return decode(Report, connection.execute(query).scalar_one().encode())

    def record_report(self, machine: CompiledMachine, report: Report, at: datetime) -> None:
        """Keep the newest report per environment."""
        row = {"machine": machine.name, "body": encode(report).decode(), "at": at}
        statement = upsert(schema.machine_report).values(
            hardware=machine.hardware_identity, environment=report.environment, **row
        )
        prefix = "installed" if report.environment == "installed" else "ramdisk"
        values: dict[str, Any] = {f"{prefix}_name": machine.name, f"{prefix}_at": at}
        if prefix == "installed":
            said = encode_installed(report.installed)
            values |= {"installed_system": said, "installed_since": at}
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["hardware", "environment"], set_=row
                )
            )
            _record(connection, machine.hardware_identities, values)
            if prefix == "installed":
                record_identities(connection, machine.hardware_identity, report.installed, at)

    def record_contact(self, machine: CompiledMachine, environment: str, at: datetime) -> None:
        """Note that the machine's agent asked for work just now."""
        values = {
            "contact_name": machine.name,
            "contact_environment": environment,
            "contact_at": at,
        }
        with self._database.writing() as connection:
            _record(connection, machine.hardware_identities, values)

    def forget_contact(self, machine: CompiledMachine) -> None:
        """Forget that an agent is there: it said that it leaves."""
        table = schema.machine_observation
        nothing = {"contact_name": None, "contact_environment": None, "contact_at": None}
        there = and_(
            table.c.hardware.in_(machine.hardware_identities), table.c.contact_at.is_not(None)
        )
        with self._database.writing() as connection:
            connection.execute(update(table).where(there).values(**nothing))

    def set_quarantine(
        self, machine: str, identities: tuple[str, ...], reason: str, at: datetime
    ) -> None:
        """Keep the hardware from all work until a person clears it; the first reason stays."""
        with self._database.writing() as connection:
            connection.execute(
                upsert(schema.quarantine)
                .values(
                    hardware=identities[0],
                    identities=" ".join(identities),
                    machine=machine,
                    reason=reason,
                    at=at,
                )
                .on_conflict_do_nothing()
            )

    def quarantine(self, machine: str, identities: Iterable[str]) -> str:
        """Return why the hardware is in quarantine, empty when it is not."""
        found = quarantine_of(machine, identities, self.quarantines())
        return found.reason if found else ""

    def quarantines(self) -> tuple[Quarantine, ...]:
        """Return all quarantines, the oldest first."""
        with self._database.reading() as connection:
            return quarantines(connection)

    def clear_quarantine(
        self, machine: str, identities: tuple[str, ...], actor: str, reason: str, at: datetime
    ) -> bool:
        """End the quarantine and keep who ended it and why; False where there was none.

        Without identities it is found by the name that the machine had then.
        """
        table = schema.quarantine
        known = {*identities, f"name:{machine}"}
        with self._database.writing() as connection:
            ended = [
                row
                for row in connection.execute(select(table)).all()
                if known.intersection(row.identities.split(" "))
                or (not identities and row.machine == machine)
            ]
            for row in ended:
                connection.execute(delete(table).where(table.c.hardware == row.hardware))
                connection.execute(
                    insert(schema.ended_quarantine).values(
                        hardware=row.hardware,
                        machine=row.machine,
                        alarm=row.reason,
                        since=row.at,
                        at=at,
                        actor=actor,
                        reason=reason,
                    )
                )
        return bool(ended)


def quarantines(connection: Connection) -> tuple[Quarantine, ...]:
    """Return all quarantines, the oldest first. There are few: each is an alarm."""
    rows = connection.execute(_QUARANTINES)
    return tuple(
        Quarantine(row.machine, tuple(row.identities.split(" ")), row.reason, row.at)
        for row in rows
    )


def _record(connection: Connection, identities: tuple[str, ...], values: dict[str, Any]) -> None:
    """Write columns of the hardware's observation, and lead every identity to it."""
    table, hardware = schema.machine_observation, identities[0]
    changes = {**values, "identities": " ".join(identities)}
    updates = dict(changes)
    if "installed_system" in changes:
        same = table.c.installed_system == changes["installed_system"]
        began = literal(changes["installed_since"], schema.UtcDateTime)
        updates["installed_since"] = case((same, table.c.installed_since), else_=began)
    connection.execute(
        upsert(table)
        .values(hardware=hardware, **changes)
        .on_conflict_do_update(index_elements=["hardware"], set_=updates)
    )
    connection.execute(
        upsert(schema.observed_identity).on_conflict_do_nothing(),
        [{"identity": each, "hardware": hardware} for each in identities],
    )
