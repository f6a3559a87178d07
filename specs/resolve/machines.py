"""Machines: what they say themselves on top of what their groups hand down."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, NamedTuple, Protocol

from specs.code import Code
from specs.compiled import PROTECT, Assignment, CompiledMachine, CompiledNetwork
from specs.definition import Definition
from specs.origins import (
    Fields,
    Origins,
    assign_field,
    is_assign_field,
    label_field,
)
from specs.path import Path
from specs.problems import Problems
from specs.resolve.assignments import compiled
from specs.resolve.inherited import Inherited
from specs.resolve.power import Switch, switched, why_unsupported
from specs.resolve.targets import Conflicts, Target
from specs.resolve.written_selector import WrittenSelector
from specs.uniqueness import warn_of_idle_history
from specs.value.ipv4 import is_host

if TYPE_CHECKING:
    from specs.kinds.machine import Machine, MachineIdentity

_NETWORK: Path = ("spec", "network")


class Groups(Protocol):
    """The groups that exist, and what each hands to its machines."""

    @property
    def names(self) -> Iterable[str]:
        """Return their paths."""

    def inherited(self, group: str) -> Inherited:
        """Return what a group hands down."""


@dataclass(frozen=True)
class Surroundings:
    """Everything but the machines themselves: what one machine is compiled against."""

    tree: Groups
    networks: Mapping[str, CompiledNetwork]
    targets: tuple[Target, ...] = ()
    selectors: tuple[WrittenSelector, ...] = ()
    """Those of documents as a whole, such as holds."""

    @cached_property
    def groups(self) -> frozenset[str]:
        """Return the groups that exist."""
        return frozenset(self.tree.names)

    def selector_counts(self, machines: Iterable[CompiledMachine]) -> tuple[int, ...]:
        """Return how many of ``machines`` each selector means: documents', then targets'."""
        written = (*self.selectors, *(target.written for target in self.targets))
        if not written:
            return ()
        counts = [0] * len(written)
        asked = [each.selection.matches for each in written]
        for machine in machines:
            for index, matches in enumerate(asked):
                counts[index] += matches(machine.name, machine.group, machine.labels)
        return tuple(counts)

    def unmatched(self, counts: Iterable[int]) -> list[WrittenSelector]:
        """Return the selectors that mean no machine."""
        written = (*self.selectors, *(target.written for target in self.targets))
        return [each for each, count in zip(written, counts, strict=True) if not count]


def compile_machines(
    definitions: Mapping[str, Definition], surroundings: Surroundings, problems: Problems
) -> dict[str, CompiledMachine]:
    """Return the machines that can be read, by name; report what does not fit."""
    conflicts = Conflicts()
    machines: dict[str, CompiledMachine] = {}
    for name, definition in definitions.items():
        machine = compile_machine(definition, surroundings, problems, conflicts)
        if machine is not None:
            machines[name] = machine
    conflicts.report(problems)
    return machines


def compile_machine(
    definition: Definition, surroundings: Surroundings, problems: Problems, conflicts: Conflicts
) -> CompiledMachine | None:
    """Return one machine; None when it cannot be read. It depends on no other machine."""
    model = definition.machine
    if model is None:
        return None
    inherited = surroundings.tree.inherited(model.spec.group)
    network = model.spec.network or inherited.network
    if network is not None:
        if network in surroundings.networks:
            _check_addresses(definition, model, surroundings.networks[network], problems)
    elif (
        inherited.network_is_known
        and model.spec.group in surroundings.groups
        and not definition.is_broken_at(_NETWORK)
    ):
        _report_no_network(definition, model, problems)
    if model.spec.hardware.formerly:
        warn_of_idle_history(definition, problems)
    effective = _effective(definition, model, inherited, surroundings.networks)
    targets = surroundings.targets and [
        target
        for target in surroundings.targets
        if target.written.selection.matches(definition.name, model.spec.group, effective.labels)
    ]
    if targets:
        conflicts.check(definition.name, effective.assignments, targets)
    holds = tuple(
        each.definition.name
        for each in surroundings.selectors
        if each.definition.kind == "Hold"
        and each.selection.matches(definition.name, model.spec.group, effective.labels)
    )
    return _compiled(definition, model, inherited, effective, (targets, holds))


def _report_no_network(definition: Definition, model: "Machine", problems: Problems) -> None:
    problems.error(
        definition.position,
        Code.NO_NETWORK,
        f"machine {definition.name} is in no network",
        f"set spec.network here, or on group {model.spec.group} or one above it",
    )


def _check_addresses(
    definition: Definition, model: "Machine", network: CompiledNetwork, problems: Problems
) -> None:
    for index, address in enumerate(model.spec.identity.addresses):
        path: Path = ("spec", "identity", "addresses", index)
        reason = _misfit(address, network)
        if reason:
            problems.error(
                definition.document.position(path),
                Code.OUTSIDE_NETWORK,
                f"{definition.document.shown(path)}: {address} {reason}",
                f"network {network.name} is defined at {network.position}",
            )
        elif _is_leased(address, network):
            problems.warning(
                definition.document.position(path),
                Code.ADDRESS_LEASED,
                f"{definition.document.shown(path)}: {address.ip} is inside the DHCP range of "
                f"network {network.name}",
                "another machine could be leased the address; move it out of the range",
            )


def _misfit(address: IPv4Interface, network: CompiledNetwork) -> str:
    """Return why no machine of the network can have the address, or nothing."""
    subnet = network.subnet
    if address not in subnet:
        return f"is not in {subnet}, the subnet of network {network.name}"
    if address.network.prefixlen != subnet.prefixlen:
        return f"has another prefix length than {subnet}, the subnet of network {network.name}"
    if not is_host(address, subnet):
        return f"is the subnet's own or its broadcast address in network {network.name}"
    if network.gateway is not None and int(address) == int(network.gateway):
        return f"is the gateway of network {network.name}"
    return ""


def _is_leased(address: IPv4Interface, network: CompiledNetwork) -> bool:
    leased = network.dhcp_range
    if leased is None or network.dhcp_mode != "server":
        return False
    return int(leased.first) <= int(address) <= int(leased.last)


class _Effective(NamedTuple):
    """What remains of each field once all levels have had their say."""

    labels: dict[str, str]
    network: str
    hostname: str
    domain: str
    power: Switch
    protect: bool | None
    assignments: tuple[Assignment, ...]


def _effective(
    definition: Definition,
    model: "Machine",
    inherited: Inherited,
    networks: Mapping[str, CompiledNetwork],
) -> _Effective:
    spec = model.spec
    network = networks.get(spec.network or inherited.network or "")
    domain = spec.identity.domain or inherited.domain
    return _Effective(
        labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
        network=spec.network or inherited.network or "",
        hostname=spec.identity.hostname or definition.name,
        domain=domain or (network.domain if network else ""),
        power=inherited.power if spec.power is None else switched(spec.power),
        protect=inherited.protect if spec.protect is None else spec.protect,
        assignments=inherited.assignments
        if spec.assign is None
        else compiled(spec.assign, definition.document, ()),
    )


def _compiled(
    definition: Definition,
    model: "Machine",
    inherited: Inherited,
    effective: _Effective,
    chosen_by: tuple[Sequence[Target], tuple[str, ...]],
) -> CompiledMachine:
    targets, holds = chosen_by
    hardware = model.spec.hardware
    assignments = effective.assignments
    if targets:
        assignments = (*assignments, *(target.assignment for target in targets))
    return CompiledMachine(
        name=definition.name,
        group=model.spec.group,
        groups=inherited.groups,
        labels=effective.labels,
        macs=hardware.macs,
        uuid=hardware.uuid or "",
        serial=hardware.serial or "",
        network=effective.network,
        hostname=effective.hostname,
        addresses=model.spec.identity.addresses,
        power_driver=effective.power.driver,
        protect=effective.protect,
        assignments=assignments,
        origins=Origins(definition.document, partial(_fields, model, inherited, targets)),
        domain=effective.domain,
        formerly=hardware.formerly,
        unsupported=why_unsupported(effective.power),
        power_settings=effective.power.settings,
        holds=holds,
    )


def _fields(model: "Machine", inherited: Inherited, targets: Sequence[Target]) -> Fields:
    """Return the fields that the machine sets itself, and what its groups and targets add."""
    own = tuple(_own_fields(model))
    hidden = set(own)
    if model.spec.assign is not None:
        hidden.update(field for field in inherited.sources if is_assign_field(field))
    if model.spec.power is not None:
        hidden.update(inherited.power.fields)
    left = {field: source for field, source in inherited.sources.items() if field not in hidden}
    assigned = len(inherited.assignments if model.spec.assign is None else model.spec.assign)
    for index, target in enumerate(targets, start=assigned):
        left[assign_field(index)] = target.source
    return own, left


def _own_fields(model: "Machine") -> Iterator[str]:
    """Yield the names of the fields that the machine's own document sets."""
    spec = model.spec
    yield "group"
    yield "hardware.macs"
    if spec.hardware.uuid is not None:
        yield "hardware.uuid"
    if spec.hardware.serial is not None:
        yield "hardware.serial"
    if spec.hardware.formerly:
        yield "hardware.formerly"
    yield from _own_identity(spec.identity)
    if spec.network is not None:
        yield "network"
    if spec.power is not None:
        yield from switched(spec.power).fields
    if spec.protect is not None:
        yield PROTECT
    yield from map(label_field, model.metadata.labels)
    yield from map(assign_field, range(len(spec.assign or ())))


def _own_identity(identity: "MachineIdentity") -> Iterator[str]:
    if identity.hostname is not None:
        yield "identity.hostname"
    if identity.domain is not None:
        yield "identity.domain"
    if identity.addresses:
        yield "identity.addresses"
