"""Recording and reading what machines said."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Row, delete, false, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.codec import encode
from agent.wire.report import Report
from providers.netboot.decision import BootAnswer, BootRequest, LocalDisk
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.stamp import heard
from reconciler.state.stored_report import encode_installed
from specs.fleet import CompiledMachine

EVENTS_PER_MAC = 200
"""Boot events kept per MAC: a network boot makes about twenty, so that the last ten stay."""
UNKNOWN_MACS = 1000
"""MACs kept that no machine of the fleet has: a room of new machines that is switched on at
once, and no more than somebody who sends made-up ones may make us keep."""


@frozen
class BootEvent:
    """One line of a machine's boot timeline."""

    mac: str
    route: str
    source: str
    detail: str
    answer: str
    at: datetime


class Observations:
    """What was heard, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_report(self, machine: CompiledMachine, report: Report, at: datetime) -> None:
        """Keep the newest report per environment."""
        hardware, body = machine.hardware_identity, encode(report).decode()
        digest = digest_of(body)
        report_row = {"machine": machine.name, "body": body, "at": at, "digest": digest}
        statement = upsert(schema.machine_report).values(
            hardware=hardware, environment=report.environment, **report_row
        )
        prefix = "installed" if report.environment == "installed" else "ram"
        values = {f"{prefix}_name": machine.name, f"{prefix}_at": at, f"{prefix}_digest": digest}
        if prefix == "installed":
            values["installed_system"] = encode_installed(report.installed)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["hardware", "environment"], set_=report_row
                )
            )
            heard(connection, machine.hardware_identities, values)

    def record_contact(self, machine: CompiledMachine, environment: str, at: datetime) -> None:
        """Note that the machine's agent asked for work just now."""
        values = {
            "contact_name": machine.name,
            "contact_environment": environment,
            "contact_at": at,
        }
        with self._database.writing() as connection:
            heard(connection, machine.hardware_identities, values)

    def forget_contact(self, machine: CompiledMachine) -> None:
        """Forget that an agent is there: it said that it leaves, or its machine restarted."""
        table = schema.machine_observation
        nothing = {"contact_name": None, "contact_environment": None, "contact_at": None}
        there = table.c.hardware.in_(machine.hardware_identities) & table.c.contact_at.is_not(None)
        with self._database.writing() as connection:
            for row in connection.execute(select(table.c.identities).where(there)).all():
                heard(connection, tuple(row.identities.split(" ")), dict(nothing))

    def record_boot(
        self, request: BootRequest, at: datetime, machine: CompiledMachine | None
    ) -> int:
        """Append to the boot timeline; return the event's number for ``record_answer``.

        ``machine`` is who of the fleet has the MAC. Anybody can send boot requests, so
        that what is kept of them is bounded.
        """
        table = schema.boot_event
        with self._database.writing() as connection:
            sequence: int = connection.execute(
                insert(table)
                .values(
                    mac=request.mac,
                    uuid=request.uuid,
                    route=request.route,
                    firmware_boot=request.arch is not None,
                    source=request.source,
                    detail=request.detail,
                    answer="",
                    at=at,
                )
                .returning(table.c.sequence)
            ).scalar_one()
            _remember_client(connection, request, at, known=machine is not None)
            _cut_timeline(connection, request.mac)
            if machine is None:
                _cut_unknown(connection)
            elif request.arch is not None:
                heard(connection, machine.hardware_identities, {}, "boot", request.mac, at)
            return sequence

    def record_answer(self, event: int, answer: BootAnswer) -> None:
        """Complete a boot event with what was decided."""
        text = (
            f"local disk: {answer.reason}"
            if isinstance(answer, LocalDisk)
            else f"Deploy-OS for operation {answer.grant.operation}"
        )
        table = schema.boot_event
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.sequence == event).values(answer=text))

    def timeline(self, macs: Iterable[str], limit: int) -> tuple[BootEvent, ...]:
        """Return the newest ``limit`` boot events of these MACs, oldest first."""
        table = schema.boot_event
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table)
                .where(table.c.mac.in_(list(macs)))
                .order_by(table.c.sequence.desc())
                .limit(limit)
            ).all()
        return tuple(
            BootEvent(row.mac, row.route, row.source, row.detail, row.answer, row.at)
            for row in reversed(rows)
        )

    def set_quarantine(
        self, machine: str, identities: tuple[str, ...], reason: str, at: datetime
    ) -> None:
        """Bar the hardware from all work until a person clears it; the first reason stays."""
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

    def quarantine(self, machine: str, identities: tuple[str, ...]) -> str:
        """Return why the hardware is barred, empty when it is not.

        One shared identity is enough: a network card that moved takes the bar along.
        """
        with self._database.reading() as connection:
            barred = _barred(connection, machine, identities)
            return barred[0].reason if barred else ""

    def clear_quarantine(self, machine: str, identities: tuple[str, ...]) -> bool:
        """Lift the bar; False where there was none.

        Without identities it is found by the name that the machine had then.
        """
        table = schema.quarantine
        with self._database.writing() as connection:
            barred = [row.hardware for row in _barred(connection, machine, identities)]
            named = table.c.machine == machine if not identities else false()
            query = delete(table).where(table.c.hardware.in_(barred) | named)
            return bool(connection.execute(query).rowcount)


def digest_of(body: str) -> str:
    """Return what stands for a report's text."""
    return blake2b(body.encode(), digest_size=16).hexdigest()


def _barred(
    connection: Connection, machine: str, identities: tuple[str, ...]
) -> list[Row[tuple[Any, ...]]]:
    # Few machines are ever barred, so that a look at each row costs nothing.
    known = {*identities, f"name:{machine}"}
    rows = connection.execute(select(schema.quarantine).order_by(schema.quarantine.c.at))
    return [row for row in rows if known.intersection(row.identities.split(" "))]


def _remember_client(
    connection: Connection, request: BootRequest, at: datetime, *, known: bool
) -> None:
    values: dict[str, Any] = {"known": known, "heard_at": at}
    if request.arch is not None:
        values["boot_at"] = at
    connection.execute(
        upsert(schema.boot_client)
        .values(mac=request.mac, **values)
        .on_conflict_do_update(index_elements=["mac"], set_=values)
    )


def _cut_timeline(connection: Connection, mac: str) -> None:
    table = schema.boot_event
    oldest = (
        select(table.c.sequence)
        .where(table.c.mac == mac)
        .order_by(table.c.sequence.desc())
        .limit(1)
        .offset(EVENTS_PER_MAC)
        .scalar_subquery()
    )
    connection.execute(delete(table).where(table.c.mac == mac, table.c.sequence <= oldest))


def _cut_unknown(connection: Connection) -> None:
    client, event = schema.boot_client, schema.boot_event
    oldest = (
        select(client.c.mac)
        .where(client.c.known.is_(False))
        .order_by(client.c.heard_at.desc(), client.c.mac)
        .offset(UNKNOWN_MACS)
    )
    gone = connection.execute(oldest).scalars().all()
    if gone:
        connection.execute(delete(event).where(event.c.mac.in_(gone)))
        connection.execute(delete(client).where(client.c.mac.in_(gone)))
