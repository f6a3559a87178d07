"""What is known of every machine of a fleet, read at once.

Plain SQL over tables with one narrow row per machine: with 40,000 of them, mapping rows
to objects and decoding reports cost far more than reading.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from agent.wire.codec import decode
from agent.wire.report import Report
from reconciler.hardware import FleetHardware
from reconciler.observed import ObservedMachine
from reconciler.store import schema
from reconciler.store.database import Database
from reconciler.store.stored_report import StoredReport
from specs.compiled import CompiledMachine

_OBSERVATIONS = """
SELECT identities, hardware, ram_at, ram_name, installed_at, installed_name, installed_system,
       contact_at, contact_name, contact_environment
FROM machine_observation
"""
_IDENTITIES, _RAM_AT, _INSTALLED_AT, _CONTACT_AT = 0, 2, 4, 7
_BOOTS = "SELECT mac, boot_at FROM boot_client WHERE boot_at IS NOT NULL"
_Rows = Sequence[Sequence[Any]]


def observed_fleet(
    database: Database, machines: Iterable[CompiledMachine], hardware: FleetHardware
) -> tuple[dict[str, ObservedMachine], tuple[str, ...]]:
    """Return what is known of each machine by name, and the MACs that no machine has.

    It is matched by hardware. What may be of another machine, because two share the
    hardware or because the UUID is another, is left out: nothing known is better
    than another machine's disks.
    """
    with database.reading() as connection:
        rows = connection.exec_driver_sql(_OBSERVATIONS).fetchall()
        boots: dict[str, str] = {row[0]: row[1] for row in connection.exec_driver_sql(_BOOTS)}
        barred = connection.execute(select(schema.quarantine).order_by(schema.quarantine.c.at))
        reasons = [(set(row.identities.split(" ")), row.reason) for row in barred]
    heard: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        owners = hardware.owners_of(row[_IDENTITIES])
        if len(owners) == 1:
            heard.setdefault(owners[0], []).append(row)
    found = {}
    unknown = set(boots)
    for machine in machines:
        asked = None
        for mac in machine.macs:
            at = boots.get(mac)
            if at is not None:
                unknown.discard(mac)
                asked = at if asked is None else max(at, asked)
        reason = ""
        if reasons:
            known = {*machine.hardware_identities, f"name:{machine.name}"}
            reason = next((text for barring, text in reasons if barring & known), "")
        found[machine.name] = _machine(
            database, _consistent(machine, heard.get(machine.name, ())), asked, reason
        )
    return found, tuple(sorted(unknown))


def _consistent(machine: CompiledMachine, rows: _Rows) -> _Rows:
    """Leave out what was heard of a board with another UUID than the machine's."""
    mine = f"uuid:{machine.uuid}"
    if not machine.uuid or all(mine in row[_IDENTITIES] for row in rows):
        return rows
    mine_all = set(machine.hardware_identities)
    return [
        row
        for row in rows
        if all(each in mine_all for each in row[_IDENTITIES].split(" ") if each.startswith("uuid:"))
    ]


def _machine(database: Database, rows: _Rows, asked: str | None, reason: str) -> ObservedMachine:
    in_ram = installed = ram_contact = installed_contact = None
    contact_name = ""
    row = _newest(rows, _RAM_AT)
    if row is not None:
        _, hardware, at, name, *_ = row
        in_ram = StoredReport(_fetch(database, hardware, "deploy-os"), _time(at), name, None)
    row = _newest(rows, _INSTALLED_AT)
    if row is not None:
        _, hardware, _, _, at, name, system, *_ = row
        installed = StoredReport(_fetch(database, hardware, "installed"), _time(at), name, system)
    row = _newest(rows, _CONTACT_AT)
    if row is not None:
        *_, at, contact_name, environment = row
        if environment == "installed":
            installed_contact = _time(at)
        else:
            ram_contact = _time(at)
    return ObservedMachine(
        in_ram,
        installed,
        ram_contact,
        installed_contact,
        _time(asked) if asked else None,
        reason,
        contact_name,
    )


_time = datetime.fromisoformat


def _newest(rows: _Rows, at: int) -> Sequence[Any] | None:
    newest = None
    for row in rows:
        if row[at] is not None and (newest is None or row[at] > newest[at]):
            newest = row
    return newest


def _fetch(database: Database, hardware: str, environment: str) -> Callable[[], Report]:
    def fetch() -> Report:
        table = schema.machine_report
        query = select(table.c.body).where(
            table.c.hardware == hardware, table.c.environment == environment
        )
        with database.reading() as connection:
            body: str = connection.execute(query).scalar_one()
        return decode(Report, body.encode())

    return fetch
