"""From machines that were seen and are in no document to machines that are written down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address

from reconciler.authoring.machine_row import MachineRow, machine_row
from reconciler.authoring.rewrite import AuthoringError
from reconciler.state.observed import Sighting
from specs.diagnostics.nearest import NearestNames
from specs.enrollment import DiscoveredMachine as Candidate
from specs.enrollment import EnrollmentReport, enrollment
from specs.fleet import CompiledFleet, CompiledMachine
from specs.types import hardware_uuid, mac_address
from specs.types.invalid_value import InvalidValue

_NO_ADDRESS = IPv4Address(0)
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DiscoveredMachine:
    """Hardware that asked for a boot and is in no document."""

    macs: tuple[str, ...]
    """The NIC that asked last comes first."""
    uuid: str
    """Empty when the firmware gave none, or one that many boards share."""
    source: str
    """The address that it asked from, 0.0.0.0 where it had none yet."""
    last_seen: datetime

    @property
    def default_name(self) -> str:
        """Return a name that no other machine can get: of the boot NIC's MAC."""
        return f"node-{self.macs[0].replace(':', '')}"


def discovered(sightings: Iterable[Sighting]) -> tuple[DiscoveredMachine, ...]:
    """Return machines, newest first: MACs that came with one UUID are one machine's NICs."""
    by_hardware: dict[str, list[Sighting]] = {}
    for sighting in sorted(sightings, key=lambda each: each.at, reverse=True):
        key = min(hardware_uuid.both_orders(sighting.uuid), default=sighting.mac)
        by_hardware.setdefault(key, []).append(sighting)
    return tuple(
        DiscoveredMachine(
            macs=tuple(each.mac for each in seen),
            uuid=hardware_uuid.own(seen[0].uuid),
            source=seen[0].source,
            last_seen=seen[0].at,
        )
        for seen in by_hardware.values()
    )


def wanted(machines: Sequence[DiscoveredMachine], texts: Iterable[str]) -> list[DiscoveredMachine]:
    """Return the machines that ``texts`` name: a MAC address, a UUID, ``mac:...``, ``uuid:...``.

    Raises AuthoringError RW939 for one that was not seen.
    """
    found: list[DiscoveredMachine] = []
    for text in texts:
        name = _normal(text)
        machine = next((each for each in machines if name in _names(each)), None)
        if machine is None:
            raise AuthoringError(
                "RW939",
                f"no unknown machine {text} asked for a boot",
                "`rackwright adopt` without a name lists those that did",
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

    A boot request tells MAC addresses, the UUID and an address; rules that ask for
    more do not match.
    """
    candidate = Candidate(addresses=_addresses(machine), macs=machine.macs, uuid=machine.uuid)
    return enrollment(candidate, fleet.enrollment_rules)


def placements(
    machines: Sequence[DiscoveredMachine], fleet: CompiledFleet, group: str
) -> tuple[Placement, ...]:
    """Return the place of each machine: ``group``, else what the first matching rule says.

    Raises AuthoringError RW939 for a ``group`` that no document has, and, where none is
    given, for machines that no rule matches. A rule's group need not be written.
    """
    if group:
        _refuse_unknown(group, fleet)
        return tuple(Placement(group, "", "--group") for _ in machines)
    placed: list[Placement] = []
    without: list[str] = []
    for machine in machines:
        report = reported(machine, fleet)
        if report.rule is None:
            without.append(machine.macs[0])
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


def _addresses(machine: DiscoveredMachine) -> tuple[IPv4Address, ...]:
    try:
        address = IPv4Address(machine.source)
    except AddressValueError:
        return ()
    return () if address == _NO_ADDRESS else (address,)


def adopted(
    machines: Sequence[DiscoveredMachine],
    placed: Sequence[Placement],
    fleet: CompiledFleet,
    name: str,
) -> tuple[MachineRow, ...]:
    """Return the rows to write down; ``name`` may be given for a single machine.

    ``placed`` has the place of each machine. Raises AuthoringError RW939 for hardware
    that a machine of the fleet has already.
    """
    if name and len(machines) != 1:
        raise AuthoringError(
            "RW939",
            f"--name {name} would name {len(machines)} machines",
            "Adopt one machine at a time, or leave --name out",
        )
    owners = {machine.uuid: machine for machine in fleet.machines.values() if machine.uuid}
    return tuple(
        machine_row(
            name=name or machine.default_name,
            macs=machine.macs,
            uuid=_unowned(machine, owners),
            group=place.group,
            network=place.network,
        )
        for machine, place in zip(machines, placed, strict=True)
    )


def _unowned(machine: DiscoveredMachine, owners: Mapping[str, CompiledMachine]) -> str:
    found = (owners[uuid] for uuid in hardware_uuid.both_orders(machine.uuid) if uuid in owners)
    owner = next(found, None)
    if owner is not None:
        raise AuthoringError(
            "RW939",
            f"{machine.macs[0]} is a NIC of {owner.name}, which has the same UUID",
            f"Add it to hardware.macs at {owner.origins['hardware.macs'].position}",
        )
    return machine.uuid
