"""What machines have installed, by the fleet's machines: to find, to show and to export."""

import re
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from agent.wire.inventory import Row
from reconciler.app.inventory_heads import heads_by_machine
from reconciler.app.machine_selection import machines_meant
from reconciler.authoring.explanation import find_machine
from reconciler.errors import ReconcilerError
from reconciler.planning.package_versions import OPERATORS, compare
from reconciler.state.hardware import FleetHardware
from reconciler.state.inventories import Inventories
from reconciler.state.inventory_codec import VERSION_AT
from reconciler.state.inventory_search import Item, all_items, hardware_with, items_named

if TYPE_CHECKING:
    from reconciler.app.project import Project

_FORMAT_AT = 6
_SOURCE_AT = 3
_QUERY = re.compile(rf"\s*(.+?)\s*(?:({'|'.join(map(re.escape, OPERATORS))})\s*(\S+)\s*)?")
_FEW = 20
Rows = dict[str, tuple[Row, ...]]
"""Rows by section."""


class PackageQuery(NamedTuple):
    """What is looked for: names with ``*`` and ``?``, and versions by an operator."""

    pattern: str
    operator: str = ""
    version: str = ""

    def matches(self, item: Item) -> bool:
        """Return whether an item, whose name matches, has such a version."""
        if not self.operator:
            return True
        version = version_of(item)
        return bool(version) and OPERATORS[self.operator](
            compare(format_of(item), version, self.version), 0
        )


class Found(NamedTuple):
    """A package on a machine, as its inventory of some moment has it."""

    machine: str
    display_name: str
    item: Item
    at: datetime


def parse_query(text: str) -> PackageQuery:
    """Return what ``NAME [OPERATOR VERSION]`` asks for; ReconcilerError RW252 for bad ones."""
    parts = _QUERY.fullmatch(text)
    if parts is None or any(sign in parts[1] for sign in "<>=!"):
        raise _unreadable(text, "it is not of the form NAME or NAME OPERATOR VERSION")
    query = PackageQuery(parts[1], parts[2] or "", parts[3] or "")
    if query.operator:
        try:
            compare("deb", "0", query.version)
        except ValueError as error:
            raise _unreadable(text, f"{query.version!r} is no version") from error
    return query


def _unreadable(text: str, why: str) -> ReconcilerError:
    return ReconcilerError(
        "RW252",
        f"the search {text!r} cannot be understood: {why}",
        "Write it as 'openssl < 3.0.14', 'linux-image-*' or 'bash = 5.2-1'; operators are "
        f"{' '.join(OPERATORS)}",
    )


def format_of(item: Item) -> str:
    """Return ``deb`` or ``rpm`` of a package, else the section that it is of."""
    return str(item.row[_FORMAT_AT]) if item.section == "packages" else item.section


def version_of(item: Item) -> str:
    """Return an item's version, empty where its kind has none."""
    place = VERSION_AT.get(item.section)
    return "" if place is None else str(item.row[place])


def source_of(item: Item) -> str:
    """Return the source package and its version, empty where that is not said."""
    if item.section != "packages":
        return ""
    return " ".join(str(each) for each in item.row[_SOURCE_AT : _SOURCE_AT + 2] if each)


class FleetInventory:
    """The inventories of some machines of a fleet: whose hardware each is, the fleet says."""

    def __init__(self, project: "Project", on: tuple[str, ...] = ()) -> None:
        project.require_state()
        fleet = project.fleet
        chosen = machines_meant(fleet, on) if on else fleet.machines.values()
        self.machines = {each.name: each for each in chosen}
        self._database = project.database
        self._inventories = Inventories(project.database)
        hardware = FleetHardware(fleet.machines.values())
        self.heads = heads_by_machine(project, tuple(self.machines.values()), hardware)

    def search(self, query: PackageQuery) -> list[Found]:
        """Return where such packages are, by machine and name."""
        items = {
            each.item_id: each
            for each in items_named(self._database, query.pattern)
            if query.matches(each)
        }
        owners = {head.hardware: name for name, head in self.heads.items()}
        found = []
        for hardware, ids in hardware_with(self._database, items):
            name = owners.get(hardware)
            if name is not None:
                at, shown = self.heads[name].at, self.machines[name].display_name
                found += [Found(name, shown, items[each], at) for each in ids]
        return sorted(found, key=lambda each: (each.machine, each.item.section, each.item.row))

    def sections(self, name: str) -> Rows:
        """Return all that is known of a machine; empty where nothing was heard."""
        head = self.heads.get(name)
        return {} if head is None else self._inventories.sections(head.hardware, self._items)

    @cached_property
    def _items(self) -> dict[int, Row] | None:
        """Every item, where so many machines are meant that each is read again and again."""
        if len(self.heads) <= _FEW:
            return None
        return {number: item.row for number, item in all_items(self._database).items()}


def inventory_of(project: "Project", name: str) -> tuple[str, FleetInventory]:
    """Return a machine's name and its inventory; AuthoringError as ``find_machine``.

    ReconcilerError RW253 where its agent sent none.
    """
    machine = find_machine(project.fleet, name, project.uncommitted)
    found = FleetInventory(project, (machine.name,))
    if machine.name not in found.heads:
        raise ReconcilerError(
            "RW253",
            f"no inventory of {machine.name} was received",
            "The agent of its installed system sends one within minutes of its start: see "
            f"`rackwright get machine {machine.name}` for when it was heard",
        )
    return machine.name, found
