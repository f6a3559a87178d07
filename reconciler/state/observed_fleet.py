"""What is known of every machine of a fleet, read at once and put together when asked for.

Plain rows of narrow tables: with 40,000 machines, mapping rows to objects and decoding
reports cost far more than reading, and whoever plans again looks at few of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from agent.wire.report import Report
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import ObservedMachine
from reconciler.state.rows import Rows
from reconciler.state.stored_report import StoredReport
from specs.fleet import CompiledMachine

_OBSERVATIONS = """
SELECT identities, hardware, ram_at, ram_name, installed_at, installed_name, installed_system,
       contact_at, contact_name, contact_environment
FROM machine_observation
"""
_IDENTITIES, _HARDWARE, _RAM_AT, _INSTALLED_AT, _CONTACT_AT = 0, 1, 2, 4, 7
_BOOTS = "SELECT mac, boot_at FROM boot_client WHERE boot_at IS NOT NULL"
_QUARANTINE = "SELECT identities, reason FROM quarantine ORDER BY at"
_PROTECTION = "SELECT identity, place FROM protection"
_REPORT = """
SELECT body FROM machine_report WHERE hardware = :hardware AND environment = :environment
"""
_time = datetime.fromisoformat
_Row = tuple[Any, ...]


class ObservedFleet(Mapping[str, ObservedMachine]):
    """What is known of each machine, by name, as of one moment.

    It is matched by hardware. What may be of another machine, because two share the
    hardware or because the UUID is another, is left out: nothing known is better
    than another machine's disks.
    """

    def __init__(
        self, database: Rows, machines: Iterable[CompiledMachine], hardware: FleetHardware
    ) -> None:
        self._machines = {machine.name: machine for machine in machines}
        rows, boots, barred, protected = database.rows(
            _OBSERVATIONS, _BOOTS, _QUARANTINE, _PROTECTION
        )
        self._boots: dict[str, str] = dict(boots)
        self._barred = [(set(identities.split(" ")), reason) for identities, reason in barred]
        self._protected: dict[str, str] = dict(protected)
        # Nearly all have one row; what came under earlier identities is beside it.
        self._row: dict[str, _Row] = {}
        self._more: dict[str, list[_Row]] = {}
        for row in rows:
            owners = hardware.owners_of(row[_IDENTITIES])
            if len(owners) == 1 and self._row.setdefault(owners[0], row) is not row:
                self._more.setdefault(owners[0], []).append(row)
        self._in_ram = partial(_report, database, "deploy-os")
        self._installed = partial(_report, database, "installed")
        self._found: dict[str, ObservedMachine] = {}

    def __getitem__(self, name: str) -> ObservedMachine:
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._machine(self._machines[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._machines)

    def __len__(self) -> int:
        return len(self._machines)

    def unknown_macs(self) -> tuple[str, ...]:
        """Return the MACs that asked for a boot and that no machine has."""
        known = (mac for machine in self._machines.values() for mac in machine.macs)
        return tuple(sorted(set(self._boots).difference(known)))

    def _machine(self, machine: CompiledMachine) -> ObservedMachine:
        first = self._row.get(machine.name)
        rows = (first, *self._more.get(machine.name, ())) if first is not None else ()
        rows = _consistent(machine, rows)
        ramdisk = installed = ramdisk_contact = installed_contact = None
        contact_name = ""
        row = _newest(rows, _RAM_AT)
        if row is not None:
            ramdisk = StoredReport(self._in_ram, row[_HARDWARE], _time(row[_RAM_AT]), row[3])
        row = _newest(rows, _INSTALLED_AT)
        if row is not None:
            installed = StoredReport(
                self._installed, row[_HARDWARE], _time(row[_INSTALLED_AT]), row[5], row[6]
            )
        row = _newest(rows, _CONTACT_AT)
        if row is not None:
            contact_name = row[8]
            if row[9] == "installed":
                installed_contact = _time(row[_CONTACT_AT])
            else:
                ramdisk_contact = _time(row[_CONTACT_AT])
        boots = [at for mac in machine.macs if (at := self._boots.get(mac)) is not None]
        return ObservedMachine(
            ramdisk,
            installed,
            ramdisk_contact,
            installed_contact,
            _time(max(boots)) if boots else None,
            self._reason(machine) if self._barred else "",
            contact_name,
            self._protection(machine) if self._protected else "",
        )

    def _protection(self, machine: CompiledMachine) -> str:
        """Return where any of the hardware was protected: rather too much than too little."""
        places = map(self._protected.get, machine.hardware_identities)
        return next(filter(None, places), "")

    def _reason(self, machine: CompiledMachine) -> str:
        known = {*machine.hardware_identities, f"name:{machine.name}"}
        return next((reason for barred, reason in self._barred if barred & known), "")


def _consistent(machine: CompiledMachine, rows: tuple[_Row, ...]) -> tuple[_Row, ...]:
    """Leave out what was heard of a board with another UUID than the machine's."""
    if not machine.uuid or (len(rows) == 1 and rows[0][_HARDWARE][5:] == machine.uuid):
        return rows
    mine = set(machine.hardware_identities)
    return tuple(
        row
        for row in rows
        if all(each in mine for each in row[_IDENTITIES].split(" ") if each.startswith("uuid:"))
    )


def _newest(rows: Sequence[_Row], at: int) -> _Row | None:
    newest = None
    for row in rows:
        if row[at] is not None and (newest is None or row[at] > newest[at]):
            newest = row
    return newest


def _report(database: Rows, environment: str, hardware: str) -> Report:
    from agent.wire.codec import decode  # noqa: PLC0415 - slow to load

    [[(body,)]] = database.rows(_REPORT, hardware=hardware, environment=environment)
    return decode(Report, body.encode())
