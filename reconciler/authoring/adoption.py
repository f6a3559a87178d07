"""From machines that were seen and are in no document to machines that are written down."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from reconciler.authoring.machine_row import MachineRow, machine_row
from reconciler.authoring.rewrite import AuthoringError
from reconciler.state.discovered import DiscoveredMachine
from specs.diagnostics.nearest import NearestNames
from specs.enrollment import DiscoveredMachine as Candidate
from specs.enrollment import EnrollmentReport, enrollment
from specs.fleet import CompiledFleet, CompiledMachine
from specs.types import hardware_uuid, mac_address
from specs.types.invalid_value import InvalidValue

_MOST_SHOWN = 3


def wanted(machines: Sequence[DiscoveredMachine], texts: Iterable[str]) -> list[DiscoveredMachine]:
    """Return the machines that ``texts`` name: a MAC address, a UUID, ``mac:...``, ``uuid:...``.

    A host name that one alone has names it too. Raises AuthoringError RW939 for one that was
    not seen.
    """
    found: list[DiscoveredMachine] = []
    for text in texts:
        name = _normal(text)
        machine = next((each for each in machines if name in _names(each)), None)
        called = [each for each in machines if each.agent and each.agent.hostname.lower() == name]
        if machine is None and len(called) == 1:
            machine = called[0]
        if machine is None:
            raise AuthoringError(
                "RW939",
                f"no unknown machine {text} asked for a boot or has an agent",
                "`rackwright adopt` without a name lists those that are known",
            )
        if machine not in found:
            found.append(machine)
    return found


def _names(machine: DiscoveredMachine) -> set[str]:
    return {*machine.macs, *hardware_uuid.both_orders(machine.uuid)}


def _normal(text: str) -> str:
    bare = text.removeprefix("mac:").removeprefix("uuid:")
    try:
        return mac_address.normalised(mac_address.suggestion(bare) or bare)
    except InvalidValue:
        return bare.lower()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a machine goes. ``network`` is empty where the group has to say it."""

    group: str
    network: str
    reason: str
    """Who decided it, as a clause: ``rule racks (rules.yaml:3:18): address ...``."""


def reported(machine: DiscoveredMachine, fleet: CompiledFleet) -> EnrollmentReport:
    """Return what the fleet's enrollment rules say of a machine.

    A boot request tells MAC addresses, the UUID, an address and the relay; an agent tells the
    name, the serial number, the maker and its addresses. What neither told matches no rule.
    """
    agent = machine.agent
    candidate = Candidate(
        name=agent.hostname if agent else "",
        addresses=machine.addresses,
        macs=machine.macs,
        uuid=machine.uuid,
        serial=agent.serial if agent else "",
        vendor=agent.vendor if agent else "",
        relay=_relay(machine.relay),
    )
    return enrollment(candidate, fleet.enrollment_rules)


def _relay(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def placements(
    machines: Sequence[DiscoveredMachine], fleet: CompiledFleet, group: str
) -> tuple[Placement, ...]:
    """Return the place of each machine.

    ``group`` decides where it is given, then the first enrollment rule that matches, then the
    token by which the machine's agent joined. Raises AuthoringError RW939 for a ``group`` that no
    document has, and for machines that none of these places. Groups of rules and tokens need
    not be written.
    """
    if group:
        _refuse_unknown(group, fleet)
        return tuple(Placement(group, "", "--group") for _ in machines)
    placed: list[Placement] = []
    without: list[str] = []
    for machine in machines:
        report = reported(machine, fleet)
        if report.rule is None:
            if machine.agent and machine.agent.group:
                reason = f"token {machine.agent.token_id}, by which its agent joined"
                placed.append(Placement(machine.agent.group, "", reason))
            else:
                without.append(machine.known_by)
            continue
        rule = report.rule
        reason = f"rule {rule.name} ({rule.position}): {report.considered[-1].reason}"
        placed.append(Placement(rule.group, rule.network, reason))
    if without:
        raise _nowhere(without, fleet)
    return tuple(placed)


def new_groups(placed: Sequence[Placement], fleet: CompiledFleet) -> tuple[str, ...]:
    """Return the groups that no document has yet, in the order of paths."""
    return tuple(sorted({each.group for each in placed}.difference(fleet.groups)))


def _refuse_unknown(group: str, fleet: CompiledFleet) -> None:
    if group in fleet.groups:
        return
    nearest = NearestNames().find(group, fleet.groups)
    raise AuthoringError(
        "RW939",
        f"there is no group {group}",
        f"Did you mean {nearest}?" if nearest else "Name a group of the repository with --group",
    )


def _nowhere(macs: Sequence[str], fleet: CompiledFleet) -> AuthoringError:
    more = f" and {len(macs) - _MOST_SHOWN:,} more" if len(macs) > _MOST_SHOWN else ""
    shown = ", ".join(macs[:_MOST_SHOWN]) + more
    if not fleet.enrollment_rules:
        return AuthoringError(
            "RW939",
            f"no group is known for {shown}: the repository has no enrollment rules",
            "Name a group of the repository with --group",
        )
    return AuthoringError(
        "RW939",
        f"no group is known for {shown}: no enrollment rule matches",
        "Name a group with --group; `rackwright adopt --explain` says why no rule matches",
    )


def adopted(
    machines: Sequence[DiscoveredMachine],
    placed: Sequence[Placement],
    fleet: CompiledFleet,
    name: str,
) -> tuple[MachineRow, ...]:
    """Return the rows to write down; ``name`` may be given for a single machine.

    ``placed`` has the place of each machine. Addresses are not written down: nobody said that
    the machine keeps them. Raises AuthoringError RW939 for hardware
    that a machine of the fleet has already.
    """
    if name and len(machines) != 1:
        raise AuthoringError(
            "RW939",
            f"--name {name} would name {len(machines)} machines",
            "Adopt one machine at a time, or leave --name out",
        )
    owners = {machine.uuid: machine for machine in fleet.machines.values() if machine.uuid}
    names = (name,) if name else _free_names(machines, fleet)
    return tuple(
        machine_row(
            name=its_name,
            macs=machine.macs,
            uuid=_unowned(machine, owners),
            group=place.group,
            network=place.network,
        )
        for machine, place, its_name in zip(machines, placed, names, strict=True)
    )


def _free_names(machines: Sequence[DiscoveredMachine], fleet: CompiledFleet) -> Iterator[str]:
    """Yield the host name of each machine where it is free, else the name of its boot NIC."""
    taken = set(fleet.machines)
    for machine in machines:
        host_name = machine.host_name
        name = host_name if host_name and host_name not in taken else machine.default_name
        taken.add(name)
        yield name


def _unowned(machine: DiscoveredMachine, owners: Mapping[str, CompiledMachine]) -> str:
    found = (owners[uuid] for uuid in hardware_uuid.both_orders(machine.uuid) if uuid in owners)
    owner = next(found, None)
    if owner is not None:
        raise AuthoringError(
            "RW939",
            f"{machine.known_by} is a NIC of {owner.name}, which has the same UUID",
            f"Add it to hardware.macs at {owner.origins['hardware.macs'].position}",
        )
    return machine.uuid
