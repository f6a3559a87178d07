"""What machines and their agents said, by hardware: recording it, and reading it of one machine.

Tens of thousands of agents say every minute that they are there. What changes nothing at once is
therefore kept in memory and written together, a few times a second, as boot requests are; whoever
reads what is known of one machine writes that first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, select, update
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
_KEPT_REPORT = upsert(schema.machine_report)
_KEPT_REPORT = _KEPT_REPORT.on_conflict_do_update(
    index_elements=["hardware", "environment"],
    set_={name: _KEPT_REPORT.excluded[name] for name in ("machine", "body", "at")},
)
_KNOWN_IDENTITY = upsert(schema.observed_identity).on_conflict_do_nothing()
_NEW_OBSERVATION = upsert(schema.machine_observation)
_SINCE = case(
    (
        schema.machine_observation.c.installed_system.is_not_distinct_from(
            _NEW_OBSERVATION.excluded.installed_system
        ),
        schema.machine_observation.c.installed_since,
    ),
    else_=_NEW_OBSERVATION.excluded.installed_since,
)
"""The same system is there since it was first reported."""
_KEPT_OBSERVATION = {
    kind: _NEW_OBSERVATION.on_conflict_do_update(
        index_elements=["hardware"],
        set_={name: _NEW_OBSERVATION.excluded[name] for name in ("identities", *columns)} | since,
    )
    for kind, columns, since in (
        ("contact", ("contact_name", "contact_environment", "contact_at"), {}),
        ("ramdisk", ("ramdisk_name", "ramdisk_at"), {}),
        (
            "installed",
            ("installed_name", "installed_at", "installed_system"),
            {"installed_since": _SINCE},
        ),
    )
}
"""By what an agent said; see ``_observation``."""
AT_ONCE = 100
"""Machines written in one transaction: it holds up the event loop for some milliseconds."""
_QUARANTINES = select(schema.quarantine).order_by(
    schema.quarantine.c.at, schema.quarantine.c.hardware
)


class Said(NamedTuple):
    """What an agent said: how its machine is, or no more than that it is there."""

    machine: CompiledMachine
    environment: str
    at: datetime
    report: Report | None = None
    """None where the agent asked for work."""


_Key = tuple[str, str, bool]
"""Hardware, environment, and whether it is no more than a contact."""


class Machines:
    """What was heard of machines, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heard: dict[_Key, Said] = {}
        """What is not written yet, the newest last."""

    def seen(
        self, machine: CompiledMachine, fleet: FleetHardware, now: datetime
    ) -> ObservedMachine:
        """Return what is known of one machine of a fleet, by a few indexed queries."""
        self._write(self._heard_of(machine))
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
        """Keep a report, the newest of its environment, before this returns."""
        self._write(self._heard_of(machine), Said(machine, report.environment, at, report))

    def record_contact(self, machine: CompiledMachine, environment: str, at: datetime) -> None:
        """Note, before this returns, that the machine's agent asked for work just now."""
        self._write(self._heard_of(machine), Said(machine, environment, at))

    def hear(self, said: Said) -> None:
        """Keep what an agent said in memory, until ``write`` or until it is read."""
        key = said.machine.hardware_identity, said.environment, said.report is None
        self._heard.pop(key, None)  # the newest is last
        self._heard[key] = said

    @property
    def heard(self) -> int:
        """Return how much was heard that is not written yet."""
        return len(self._heard)

    def write(self, most: int = AT_ONCE) -> None:
        """Write what was heard first; StateError leaves it in memory."""
        self._write(tuple(islice(self._heard, most)))

    def write_all(self) -> None:
        """Write everything that was heard."""
        while self._heard:
            self.write()

    def _heard_of(self, machine: CompiledMachine) -> list[_Key]:
        return [key for key in self._heard if key[0] in machine.hardware_identities]

    def _write(self, keys: Collection[_Key], *newer: Said) -> None:
        """Write what was heard, then what is newer: the last that is written holds."""
        said = [*(self._heard[key] for key in keys), *newer]
        if said:
            with self._database.writing() as connection:
                _record_reports(connection, said)
                _record_observations(connection, said)
        for key in keys:
            del self._heard[key]

    def forget_contact(self, machine: CompiledMachine) -> None:
        """Forget that an agent is there: it said that it leaves."""
        for key in self._heard_of(machine):
            if key[2]:
                del self._heard[key]
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


def _record_reports(connection: Connection, said: Iterable[Said]) -> None:
    reports = [each for each in said if each.report is not None]
    if reports:
        connection.execute(
            _KEPT_REPORT,
            [
                {
                    "hardware": each.machine.hardware_identity,
                    "environment": each.environment,
                    "machine": each.machine.name,
                    "body": encode(each.report).decode(),
                    "at": each.at,
                }
                for each in reports
            ],
        )
    for each in reports:
        if each.environment == "installed" and each.report is not None:
            installed = each.report.installed
            record_identities(connection, each.machine.hardware_identity, installed, each.at)


def _record_observations(connection: Connection, said: Iterable[Said]) -> None:
    """Write what is now known of the hardware, and lead every identity to it."""
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    identities = []
    for each in said:
        hardware = each.machine.hardware_identity
        known = each.machine.hardware_identities
        kind, values = _observation(each)
        rows[kind].append({"hardware": hardware, "identities": " ".join(known), **values})
        identities += [{"identity": identity, "hardware": hardware} for identity in known]
    for kind, changes in rows.items():
        connection.execute(_KEPT_OBSERVATION[kind], changes)
    connection.execute(_KNOWN_IDENTITY, identities)


def _observation(said: Said) -> tuple[str, dict[str, Any]]:
    """Return which columns of an observation something changes, and their values."""
    name, at = said.machine.name, said.at
    if said.report is None:
        contact = {"contact_name": name, "contact_environment": said.environment, "contact_at": at}
        return "contact", contact
    if said.environment != "installed":
        return "ramdisk", {"ramdisk_name": name, "ramdisk_at": at}
    return "installed", {
        "installed_name": name,
        "installed_at": at,
        "installed_system": encode_installed(said.report.installed),
        "installed_since": at,
    }
