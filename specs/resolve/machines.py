"""Machines: what they say themselves on top of what their groups hand down."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface
from types import MappingProxyType
from typing import NamedTuple

from specs.code import Code
from specs.compiled import Assignment, CompiledMachine, CompiledNetwork
from specs.definition import Definition
from specs.digest import Canonical, digest
from specs.kinds.machine import Machine, MachineIdentity, MachineSpec
from specs.kinds.power import Power
from specs.origins import Origins, Source, assign_field, label_field
from specs.path import Path
from specs.problems import Problems
from specs.resolve.assignments import compiled
from specs.resolve.group_tree import GroupTree, Inherited
from specs.resolve.networks import is_host
from specs.resolve.power import PLAIN_DRIVERS, power_fields, power_meaning, why_unsupported
from specs.resolve.targets import Conflicts, Target

_NETWORK: Path = ("spec", "network")
_NOTHING: Mapping[str, Source] = MappingProxyType({})


class Surroundings:
    """Everything but the machines themselves: what one machine is compiled against."""

    def __init__(
        self,
        tree: GroupTree,
        networks: Mapping[str, CompiledNetwork],
        targets: tuple[Target, ...],
    ) -> None:
        self.tree = tree
        self.groups = frozenset(tree.names)
        self.networks = networks
        self.targets = targets


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
    model = definition.model
    if not isinstance(model, Machine):
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
    effective = _effective(definition, model, inherited, surroundings.networks)
    targets = surroundings.targets and [
        target
        for target in surroundings.targets
        if target.written.selection.matches(definition.name, model.spec.group, effective.labels)
    ]
    if targets:
        conflicts.check(definition.name, effective.assignments, targets)
    return _compiled(definition, model, inherited, effective, targets)


def _report_no_network(definition: Definition, model: Machine, problems: Problems) -> None:
    problems.error(
        definition.position,
        Code.NO_NETWORK,
        f"machine {definition.name} is in no network",
        f"set spec.network here, or on group {model.spec.group} or one above it",
    )


def _check_addresses(
    definition: Definition, model: Machine, network: CompiledNetwork, problems: Problems
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
    power: Power
    protect: bool
    assignments: tuple[Assignment, ...]


def _effective(
    definition: Definition,
    model: Machine,
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
        power=spec.power or inherited.power,
        protect=inherited.protect if spec.protect is None else spec.protect,
        assignments=inherited.assignments
        if spec.assign is None
        else compiled(spec.assign, definition.document, ()),
    )


def _compiled(
    definition: Definition,
    model: Machine,
    inherited: Inherited,
    effective: _Effective,
    targets: Sequence[Target],
) -> CompiledMachine:
    hardware = model.spec.hardware
    assignments = effective.assignments
    targeted: Mapping[str, Source] = _NOTHING
    if targets:
        targeted = _targeted(len(assignments), targets)
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
        origins=_origins(definition, model, inherited, targeted),
        digest=digest("Machine", _meaning(definition.name, model.spec, effective, assignments)),
        domain=effective.domain,
        formerly=hardware.formerly,
        unsupported=why_unsupported(effective.power),
    )


def _targeted(assigned: int, targets: Sequence[Target]) -> dict[str, Source]:
    """Return where the assignments come from that follow the ``assigned`` ones."""
    return {
        assign_field(index): target.source for index, target in enumerate(targets, start=assigned)
    }


def _origins(
    definition: Definition, model: Machine, inherited: Inherited, targeted: Mapping[str, Source]
) -> Origins:
    own = tuple(_own_fields(model))
    hidden = set(own).intersection(inherited.sources)
    if model.spec.assign is not None:
        hidden.update(assign_field(index) for index in range(len(inherited.assignments)))
    if model.spec.power is not None and inherited.power.driver not in PLAIN_DRIVERS:
        hidden.update(power_fields(inherited.power))
    left = inherited.sources
    if hidden:
        left = {field: source for field, source in left.items() if field not in hidden}
    return Origins(definition.document, own, {**left, **targeted} if targeted else left)


def _own_fields(model: Machine) -> Iterator[str]:
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
        if spec.power.driver in PLAIN_DRIVERS:
            yield "power.driver"
        else:
            yield from power_fields(spec.power)
    if spec.protect is not None:
        yield "protect"
    yield from map(label_field, model.metadata.labels)
    yield from map(assign_field, range(len(spec.assign or ())))


def _own_identity(identity: MachineIdentity) -> Iterator[str]:
    if identity.hostname is not None:
        yield "identity.hostname"
    if identity.domain is not None:
        yield "identity.domain"
    if identity.addresses:
        yield "identity.addresses"


def _meaning(
    name: str, spec: MachineSpec, effective: _Effective, assignments: tuple[Assignment, ...]
) -> Canonical:
    meaning: dict[str, Canonical] = {
        "addresses": [str(address) for address in spec.identity.addresses],
        "assign": [[each.scenario, each.run] for each in assignments],
        "domain": effective.domain,
        "group": spec.group,
        "hostname": effective.hostname,
        "labels": effective.labels,
        "macs": list(spec.hardware.macs),
        "name": name,
        "network": effective.network,
        "power": power_meaning(effective.power),
        "protect": effective.protect,
        "serial": spec.hardware.serial or "",
        "uuid": spec.hardware.uuid or "",
    }
    if spec.hardware.formerly:
        meaning["formerly"] = list(spec.hardware.formerly)
    return meaning
