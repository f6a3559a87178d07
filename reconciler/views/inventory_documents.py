"""Inventories for programs: JSON, CSV and CycloneDX 1.6 (ECMA-424)."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from io import StringIO
from json import dumps
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from attrs import fields

from agent.wire.inventory import SECTIONS, Row
from reconciler.authoring.spreadsheet import guarded
from reconciler.state.inventory_head import InventoryHead

FORMAT = "rackwright-inventory/1"
CSV_COLUMNS = (
    *("machine", "display name", "system", "section", "name", "architecture", "version"),
    *("source", "source version", "origin", "as of"),
)
Rows = Mapping[str, tuple[Row, ...]]


class OperatingSystem(Protocol):
    """What os-release(5) says of a system."""

    @property
    def os_id(self) -> str:
        """ID."""

    @property
    def os_version(self) -> str:
        """VERSION_ID."""

    @property
    def os_name(self) -> str:
        """PRETTY_NAME."""


class ImageSoftware(NamedTuple):
    """What is installed in an image."""

    name: str
    """By which the image was asked for."""
    digest: str
    system: OperatingSystem
    packages: tuple[Row, ...]


class MachineInventory(NamedTuple):
    """One machine and all that is known to be installed on it."""

    name: str
    display_name: str
    head: InventoryHead
    sections: Rows


def entry_document(section: str, row: Row) -> dict[str, Any]:
    """Return an entry with the names of its fields as documents have them."""
    names = (_camel(each.name) for each in fields(SECTIONS[section].entry))
    return dict(zip(names, row, strict=True))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.title() for each in rest)


def machine_document(machine: MachineInventory) -> dict[str, Any]:
    """Return a machine's inventory; sections that are not known are null."""
    found: dict[str, Any] = {
        name: (
            None
            if name not in machine.sections
            else [entry_document(name, row) for row in machine.sections[name]]
        )
        for name in SECTIONS
    }
    system = found["system"]
    return {
        "machine": machine.name,
        "displayName": machine.display_name,
        "at": machine.head.at.isoformat(),
        **found,
        "system": system[0] if system else None,
    }


def inventory_summary(head: InventoryHead | None) -> dict[str, Any] | None:
    """Return what lists show of an inventory."""
    if head is None:
        return None
    return {
        "at": head.at.isoformat(),
        "os": head.os_name,
        "osId": head.os_id,
        "osVersion": head.os_version,
        "packages": head.packages,
        "updates": head.updates,
        "restartPending": head.restart,
    }


def csv_lines(machines: Iterable[MachineInventory]) -> Iterator[str]:
    """Yield a heading and one line for each package, application and hotfix."""
    yield _line(CSV_COLUMNS)
    for machine in machines:
        head = (machine.name, machine.display_name, machine.head.os_name)
        at = machine.head.at.isoformat()
        for row in machine.sections.get("packages", ()):
            name, architecture, version, source, source_version, origin, kind = map(str, row)
            yield _line(
                (*head, kind, name, architecture, version, source, source_version, origin, at)
            )
        for row in machine.sections.get("applications", ()):
            name, version, publisher, _, architecture = map(str, row)
            yield _line((*head, "application", name, architecture, version, "", "", publisher, at))
        for row in machine.sections.get("hotfixes", ()):
            yield _line((*head, "hotfix", str(row[0]), *[""] * 5, at))


def _line(cells: Iterable[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow([guarded(cell) for cell in cells])
    return out.getvalue()


def package_url(system: OperatingSystem, row: Row) -> str:
    """Return the purl of a package (package-url.github.io, types deb and rpm)."""
    name, architecture, version, *_, kind = map(str, row)
    vendor = system.os_id.lower()
    qualifiers = {"arch": architecture}
    if system.os_id and system.os_version:
        qualifiers["distro"] = f"{vendor}-{system.os_version}"
    epoch, colon, rest = version.partition(":")
    if kind == "rpm" and colon:
        version, qualifiers["epoch"] = rest, epoch
    namespace = f"{_quoted(vendor)}/" if vendor else ""
    known = "&".join(f"{key}={_quoted(qualifiers[key])}" for key in sorted(qualifiers))
    return f"pkg:{kind}/{namespace}{_quoted(name)}@{_quoted(version)}?{known}"


def _quoted(text: str) -> str:
    return quote(text, safe=":")


def json_pieces(machines: Iterable[MachineInventory]) -> Iterator[str]:
    """Yield the text of one JSON document with all machines."""
    yield from _with_list({"format": FORMAT}, "machines", map(machine_document, machines))


def cyclonedx_pieces(
    machines: Iterable[MachineInventory], serial: str, now: datetime, version: str
) -> Iterator[str]:
    """Yield the text of one bill of materials: each machine is a device with what it has.

    ``serial`` is a UUID, ``version`` that of Rackwright.
    """
    yield from _with_list(_bill(serial, now, version), "components", map(_device, machines))


def image_bill_pieces(
    image: ImageSoftware, serial: str, now: datetime, version: str
) -> Iterator[str]:
    """Yield the text of the bill of materials of an image; parameters as of a fleet's.

    What it is about is the image, a file with its digest; the system and its packages are the
    components.
    """
    head = _bill(serial, now, version)
    head["metadata"]["component"] = {
        "type": "file",
        "bom-ref": image.digest,
        "name": image.name,
        "hashes": [{"alg": "BLAKE3", "content": image.digest}],
        "properties": [{"name": "rackwright:image", "value": image.digest}],
    }
    parts = (
        *_system_part(image.digest, image.system),
        *(_package_part(image.digest, image.system, row) for row in image.packages),
    )
    yield from _with_list(head, "components", parts)


def _bill(serial: str, now: datetime, version: str) -> dict[str, Any]:
    tool = {"type": "application", "name": "rackwright", "version": version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": now.isoformat(), "tools": {"components": [tool]}},
    }


def _with_list(
    head: Mapping[str, Any], name: str, items: Iterable[dict[str, Any]]
) -> Iterator[str]:
    """Yield a JSON object whose last member is a list, an item a line: fleets are large."""
    yield f"{dumps(head)[:-1]}, {dumps(name)}: ["
    for number, item in enumerate(items):
        yield f"{',' if number else ''}\n{dumps(item)}"
    yield "\n]}\n"


def _system_part(owner: str, system: OperatingSystem) -> Iterator[dict[str, Any]]:
    if system.os_id:
        yield {
            "type": "operating-system",
            "bom-ref": f"{owner}/os",
            "name": system.os_id,
            "version": system.os_version,
            "description": system.os_name,
        }


def _package_part(owner: str, system: OperatingSystem, row: Row) -> dict[str, Any]:
    url = package_url(system, row)
    return {
        "type": "library",
        "bom-ref": f"{owner}/{url}",
        "name": str(row[0]),
        "version": str(row[2]),
        "purl": url,
    }


def _device(machine: MachineInventory) -> dict[str, Any]:
    name, head = machine.name, machine.head
    parts = list(_system_part(name, head))
    parts += (_package_part(name, head, row) for row in machine.sections.get("packages", ()))
    for row in machine.sections.get("applications", ()):
        publisher = {"publisher": str(row[2])} if row[2] else {}
        parts.append(
            {
                "type": "application",
                "bom-ref": f"{name}/{'/'.join(map(str, row))}",
                "name": str(row[0]),
                "version": str(row[1]),
                **publisher,
            }
        )
    return {
        "type": "device",
        "bom-ref": name,
        "name": name,
        "description": machine.display_name or name,
        "properties": [{"name": "rackwright:at", "value": head.at.isoformat()}],
        "components": parts,
    }
