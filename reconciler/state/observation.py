"""From the rows about one machine's hardware to what is known of it. Pure but for late reports.

What was recorded is matched by hardware. What may be of another machine, because two share
the hardware or because the UUID is another, is left out: nothing known is better than another
machine's disks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from agent.wire.report import Report
from reconciler.state.observed import ObservedMachine, Quarantine, TimedReport
from specs.fleet import CompiledMachine

Load = Callable[[str, str], Report]
"""Returns the report of a hardware and environment."""


class ObservationRow(NamedTuple):
    """One row of ``machine_observation``: what was last heard under one identity."""

    hardware: str
    identities: str
    ramdisk_name: str | None
    ramdisk_at: datetime | None
    installed_name: str | None
    installed_at: datetime | None
    installed_system: str | None
    installed_since: datetime | None
    contact_name: str | None
    contact_environment: str | None
    contact_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database has besides observations, for one machine or for all."""

    load: Load
    boots: Mapping[str, datetime] = field(default_factory=dict)
    """The last boot request of each MAC."""
    quarantines: Sequence[Quarantine] = ()
    """Oldest first."""
    read_at: datetime | None = None
    protections: Mapping[str, str] = field(default_factory=dict)
    """Where hardware was protected, by identity."""


def observed_machine(
    machine: CompiledMachine, rows: Iterable[ObservationRow], recorded: Recorded
) -> ObservedMachine:
    """Return what is known of a machine; ``rows`` are those of its hardware alone."""
    rows = _of_this_board(machine, rows)
    ramdisk = max((row for row in rows if row.ramdisk_at), key=_ramdisk_at, default=None)
    installed = max((row for row in rows if row.installed_at), key=_installed_at, default=None)
    boots = [recorded.boots[mac] for mac in machine.macs if mac in recorded.boots]
    boot = max(boots, default=None)
    contact = max((row for row in rows if row.contact_at), key=_contact_at, default=None)
    in_ramdisk = contact is not None and contact.contact_environment == "deploy-os"
    return ObservedMachine(
        ramdisk=_ramdisk_report(ramdisk, recorded.load),
        installed=_installed_report(installed, recorded.load),
        ramdisk_contact=contact.contact_at if contact and in_ramdisk else None,
        installed_contact=contact.contact_at if contact and not in_ramdisk else None,
        boot_request=boot,
        quarantine=_quarantine(machine, recorded.quarantines),
        contact_name=(contact.contact_name or "") if contact else "",
        protected_at=_protection(machine, recorded.protections),
        read_at=recorded.read_at,
    )


def quarantine_of(
    name: str, identities: Iterable[str], quarantines: Iterable[Quarantine]
) -> Quarantine | None:
    """Return the first quarantine of hardware; None where it is in none.

    One shared identity is enough: a network card that moved takes the quarantine along.
    """
    known = {*identities, f"name:{name}"}
    return next((each for each in quarantines if known.intersection(each.identities)), None)


def _quarantine(machine: CompiledMachine, quarantines: Sequence[Quarantine]) -> str:
    """Return why a machine is in quarantine, empty where it is not."""
    if not quarantines:
        return ""
    found = quarantine_of(machine.name, machine.hardware_identities, quarantines)
    return found.reason if found else ""


def _protection(machine: CompiledMachine, protections: Mapping[str, str]) -> str:
    """Return where any of the hardware was protected: rather too much than too little."""
    if not protections:
        return ""
    return next(filter(None, map(protections.get, machine.hardware_identities)), "")


def _of_this_board(
    machine: CompiledMachine, rows: Iterable[ObservationRow]
) -> tuple[ObservationRow, ...]:
    """Leave out what was heard of a board with another UUID than the machine's."""
    rows = tuple(rows)
    if not machine.uuid or all(row.hardware == machine.hardware_identity for row in rows):
        return rows
    mine = set(machine.hardware_identities)
    return tuple(
        row
        for row in rows
        if all(each in mine for each in row.identities.split(" ") if each.startswith("uuid:"))
    )


def _ramdisk_report(row: ObservationRow | None, load: Load) -> TimedReport | None:
    if row is None or row.ramdisk_at is None:
        return None
    return TimedReport(
        lambda: load(row.hardware, "deploy-os"), row.ramdisk_at, row.ramdisk_name or ""
    )


def _installed_report(row: ObservationRow | None, load: Load) -> TimedReport | None:
    if row is None or row.installed_at is None:
        return None
    return TimedReport(
        lambda: load(row.hardware, "installed"),
        row.installed_at,
        row.installed_name or "",
        row.installed_system or "",
        row.installed_since,
    )


def _ramdisk_at(row: ObservationRow) -> datetime:
    assert row.ramdisk_at is not None  # noqa: S101 - only such rows are compared
    return row.ramdisk_at


def _installed_at(row: ObservationRow) -> datetime:
    assert row.installed_at is not None  # noqa: S101 - likewise
    return row.installed_at


def _contact_at(row: ObservationRow) -> datetime:
    assert row.contact_at is not None  # noqa: S101 - likewise
    return row.contact_at
