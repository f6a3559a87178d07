"""Recording and reading what machines said."""

from collections.abc import Iterable
from datetime import datetime

from attrs import frozen
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.codec import decode, encode
from agent.wire.report import Report
from providers.netboot.decision import BootAnswer, BootRequest, LocalDisk
from reconciler.observed import ObservedMachine, TimedReport
from reconciler.store import schema
from reconciler.store.database import Database
from specs.compiled import CompiledMachine


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
        values = {"machine": machine.name, "body": encode(report).decode(), "at": at}
        statement = upsert(schema.machine_report).values(
            hardware=machine.hardware_identity, environment=report.environment, **values
        )
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["hardware", "environment"], set_=values
                )
            )

    def record_contact(self, machine: str, environment: str, at: datetime) -> None:
        """Note that the machine's agent asked for work just now."""
        values = {"environment": environment, "at": at}
        statement = upsert(schema.agent_contact).values(machine=machine, **values)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["machine"], set_=values)
            )

    def forget_contact(self, machine: str) -> None:
        """Forget that an agent is there: it said that it leaves, or its machine restarted."""
        with self._database.writing() as connection:
            connection.execute(
                delete(schema.agent_contact).where(schema.agent_contact.c.machine == machine)
            )

    def record_boot(self, request: BootRequest, at: datetime) -> int:
        """Append to the boot timeline; return the event's number for ``record_answer``."""
        with self._database.writing() as connection:
            sequence: int = connection.execute(
                insert(schema.boot_event)
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
                .returning(schema.boot_event.c.sequence)
            ).scalar_one()
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

    def set_quarantine(self, machine: str, reason: str, at: datetime) -> None:
        """Bar the machine from all work until a person clears it; the first reason stays."""
        with self._database.writing() as connection:
            connection.execute(
                upsert(schema.quarantine)
                .values(machine=machine, reason=reason, at=at)
                .on_conflict_do_nothing()
            )

    def quarantine(self, machine: str) -> str:
        """Return why the machine is barred; empty when it is not."""
        table = schema.quarantine
        with self._database.reading() as connection:
            query = select(table.c.reason).where(table.c.machine == machine)
            return connection.execute(query).scalar() or ""

    def clear_quarantine(self, machine: str) -> bool:
        """Lift the bar; False where there was none."""
        with self._database.writing() as connection:
            return bool(
                connection.execute(
                    delete(schema.quarantine).where(schema.quarantine.c.machine == machine)
                ).rowcount
            )

    def machines(self, machines: Iterable[CompiledMachine]) -> dict[str, ObservedMachine]:
        """Return what is known of each machine, matched by its hardware, not its name."""
        with self._database.reading() as connection:
            reports = {
                (row.hardware, row.environment): TimedReport(
                    decode(Report, row.body.encode()), row.at
                )
                for row in connection.execute(select(schema.machine_report))
            }
            contacts = {
                (row.machine, row.environment): row.at
                for row in connection.execute(select(schema.agent_contact))
            }
            boots = {
                row.mac: row.at
                for row in connection.execute(
                    select(schema.boot_event.c.mac, func.max(schema.boot_event.c.at).label("at"))
                    .where(schema.boot_event.c.firmware_boot)
                    .group_by(schema.boot_event.c.mac)
                )
            }
            barred = {
                row.machine: row.reason for row in connection.execute(select(schema.quarantine))
            }
        return {
            machine.name: ObservedMachine(
                in_ram=reports.get((machine.hardware_identity, "deploy-os")),
                installed=reports.get((machine.hardware_identity, "installed")),
                ram_contact=contacts.get((machine.name, "deploy-os")),
                installed_contact=contacts.get((machine.name, "installed")),
                boot_request=max(
                    (boots[mac] for mac in machine.macs if mac in boots), default=None
                ),
                quarantine=barred.get(machine.name, ""),
            )
            for machine in machines
        }

    def unknown_macs(self, known: Iterable[str]) -> tuple[str, ...]:
        """Return the MACs that asked for a boot and are none of ``known``."""
        table = schema.boot_event
        with self._database.reading() as connection:
            seen = connection.execute(
                select(table.c.mac).where(table.c.firmware_boot).distinct().order_by(table.c.mac)
            ).scalars()
            return tuple(sorted(set(seen) - set(known)))
