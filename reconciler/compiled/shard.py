"""The machines of one group as plain data, and back.

The form is JSON of rows without names: what machines of a group share, such as the
assignments that they inherit, stands once. Origins of single fields are left out, but
for those that plans show: of assignments and of protection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from json import JSONEncoder, loads
from operator import attrgetter
from typing import Any, Protocol

from reconciler.compiled.body_digest import body_digest
from specs.diagnostics.position import Position
from specs.fleet import PROTECT, Assignment, CompiledMachine, Origin

_dumps = JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Shard(Protocol):
    """A group's machines in the order of their names, and the digest that names them."""

    @property
    def group(self) -> str:
        """Return the path of the group."""

    @property
    def count(self) -> int:
        """Return the number of machines."""

    @property
    def digest(self) -> str:
        """Return 32 hex digits: BLAKE2b over the body."""

    @property
    def body(self) -> bytes:
        """Return the machines as they are kept."""

    def machines(self) -> tuple[CompiledMachine, ...]:
        """Return the machines."""


@dataclass(frozen=True, slots=True)
class FreshShard:
    """A shard in memory."""

    group: str
    count: int
    digest: str
    body: bytes

    def machines(self) -> tuple[CompiledMachine, ...]:
        """Return the machines."""
        return machines_of(self.group, self.body)


Held = tuple[FreshShard, tuple[CompiledMachine, ...]]
"""A shard, and its machines as they were compiled."""


def shards_of(machines: Iterable[CompiledMachine]) -> list[Held]:
    """Return the machines group by group."""
    members: dict[str, list[CompiledMachine]] = {}
    for machine in machines:
        members.setdefault(machine.group, []).append(machine)
    return [_held(group, found) for group, found in members.items()]


def shard(group: str, machines: Iterable[CompiledMachine]) -> FreshShard:
    """Return the machines of one group, in any order, as a shard."""
    return _held(group, machines)[0]


def _held(group: str, machines: Iterable[CompiledMachine]) -> Held:
    ordered = sorted(machines, key=attrgetter("name"))
    body = _encode(ordered)
    return FreshShard(group, len(ordered), body_digest(body), body), tuple(ordered)


def _encode(machines: list[CompiledMachine]) -> bytes:
    shared = _Shared()
    rows = [_row(machine, shared.place(machine)) for machine in machines]
    groups = machines[0].groups if machines else ()
    return f"[{_dumps(groups)},[{','.join(shared.texts)}],{_dumps(rows)}]".encode()


def _row(machine: CompiledMachine, shared: int) -> list[Any]:
    return [
        machine.name,
        machine.display_name,
        machine.macs,
        machine.uuid,
        machine.serial,
        machine.hostname,
        [[int(address), address.network.prefixlen] for address in machine.addresses],
        machine.formerly,
        shared,
        _place(machine.origins.get(PROTECT)) if machine.protect else None,
    ]


class _Shared:
    """What several machines have alike, each as a text."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        """With their places, in the order of these."""
        self._places: dict[tuple[object, ...], int] = {}

    def place(self, machine: CompiledMachine) -> int:
        """Return the place of what a machine has."""
        # Machines that were compiled together have the same objects: to compare these is quick.
        known = (
            id(machine.labels),
            id(machine.power_settings),
            tuple(map(id, machine.assignments)),
            *_often_alike(machine),
        )
        place = self._places.get(known)
        if place is None:
            text = _dumps(_shared_row(machine))
            place = self._places[known] = self.texts.setdefault(text, len(self.texts))
        return place


def _shared_row(machine: CompiledMachine) -> list[Any]:
    return [
        machine.labels,
        dict(machine.power_settings),
        [_assignment(each) for each in machine.assignments],
        *_often_alike(machine),
    ]


def _often_alike(machine: CompiledMachine) -> tuple[object, ...]:
    return (
        machine.network,
        machine.power_driver,
        machine.protect,
        machine.domain,
        machine.unsupported,
        machine.holds,
    )


def _assignment(assignment: Assignment) -> list[Any]:
    return [assignment.scenario, assignment.run, *_place(assignment.origin)]


def _place(origin: Origin | None) -> list[Any]:
    if origin is None:
        return []
    place = origin.position
    return [place.file, place.line, place.column, origin.path]


def machines_of(group: str, body: bytes) -> tuple[CompiledMachine, ...]:
    """Return the machines of a group from their kept form."""
    groups, shared, rows = loads(body)
    alike = [_read_shared(row) for row in shared]
    return tuple(_machine(group, tuple(groups), alike, row) for row in rows)


def _read_shared(row: list[Any]) -> dict[str, Any]:
    labels, settings, assignments, network, driver, protect, domain, unsupported, holds = row
    return {
        "labels": labels,
        "power_settings": settings,
        "assignments": tuple(_read_assignment(each) for each in assignments),
        "network": network,
        "power_driver": driver,
        "protect": protect,
        "domain": domain,
        "unsupported": unsupported,
        "holds": tuple(holds),
    }


def _read_assignment(row: list[Any]) -> Assignment:
    scenario, run, *place = row
    return Assignment(scenario, run, _origin(*place))


def _origin(file: str, line: int, column: int, path: list[str]) -> Origin:
    return Origin(Position(file, line, column), tuple(path))


def _machine(
    group: str, groups: tuple[str, ...], shared: list[dict[str, Any]], row: list[Any]
) -> CompiledMachine:
    name, display_name, macs, uuid, serial, hostname, addresses, formerly, alike, protected_at = row
    origins: Mapping[str, Origin] = {PROTECT: _origin(*protected_at)} if protected_at else {}
    return CompiledMachine(
        name=name,
        display_name=display_name,
        group=group,
        groups=groups,
        macs=tuple(macs),
        uuid=uuid,
        serial=serial,
        hostname=hostname,
        addresses=tuple(IPv4Interface((number, length)) for number, length in addresses),
        origins=origins,
        formerly=tuple(formerly),
        **shared[alike],
    )
