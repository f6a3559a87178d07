"""The machines of one group as plain data, and back.

The form is JSON of rows without names: what all machines of a group share, such as the
assignments that they inherit, stands once. Origins of single fields are left out, but
for those that plans show: of assignments and of protection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from json import dumps, loads
from typing import Any, Protocol

from reconciler.fleet.body_digest import body_digest
from specs.compiled import PROTECT, Assignment, CompiledMachine, Origin
from specs.position import Position


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
    ordered = sorted(machines, key=lambda machine: machine.name)
    body = _encode(ordered)
    return FreshShard(group, len(ordered), body_digest(body), body), tuple(ordered)


def _encode(machines: list[CompiledMachine]) -> bytes:
    lists: dict[tuple[Assignment, ...], int] = {}
    rows = [_row(machine, lists) for machine in machines]
    groups = machines[0].groups if machines else ()
    shared = [[_assignment(each) for each in assignments] for assignments in lists]
    return dumps([groups, shared, rows], ensure_ascii=False, separators=(",", ":")).encode()


def _row(machine: CompiledMachine, lists: dict[tuple[Assignment, ...], int]) -> list[Any]:
    return [
        machine.name,
        machine.labels,
        machine.macs,
        machine.uuid,
        machine.serial,
        machine.network,
        machine.hostname,
        [str(address) for address in machine.addresses],
        machine.power_driver,
        machine.protect,
        lists.setdefault(machine.assignments, len(lists)),
        machine.domain,
        machine.formerly,
        machine.unsupported,
        dict(machine.power_settings),
        machine.holds,
        _place(machine.origins.get(PROTECT)) if machine.protect else None,
    ]


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
    lists = [tuple(_read_assignment(each) for each in assignments) for assignments in shared]
    return tuple(_machine(group, tuple(groups), lists, row) for row in rows)


def _read_assignment(row: list[Any]) -> Assignment:
    scenario, run, *place = row
    return Assignment(scenario, run, _origin(*place))


def _origin(file: str, line: int, column: int, path: list[str]) -> Origin:
    return Origin(Position(file, line, column), tuple(path))


def _machine(
    group: str, groups: tuple[str, ...], lists: list[tuple[Assignment, ...]], row: list[Any]
) -> CompiledMachine:
    name, labels, macs, uuid, serial, network, hostname, addresses, *rest = row
    power_driver, protect, assignments, domain, formerly, unsupported, settings, *rest = rest
    holds, protected_at = rest
    origins: Mapping[str, Origin] = {PROTECT: _origin(*protected_at)} if protected_at else {}
    return CompiledMachine(
        name=name,
        group=group,
        groups=groups,
        labels=labels,
        macs=tuple(macs),
        uuid=uuid,
        serial=serial,
        network=network,
        hostname=hostname,
        addresses=tuple(map(IPv4Interface, addresses)),
        power_driver=power_driver,
        protect=protect,
        assignments=lists[assignments],
        origins=origins,
        domain=domain,
        formerly=tuple(formerly),
        unsupported=unsupported,
        power_settings=settings,
        holds=tuple(holds),
    )
