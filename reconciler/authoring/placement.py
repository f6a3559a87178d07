"""Which group a discovered machine goes into, and who decided it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from reconciler.authoring.discovery import DiscoveredMachine
from reconciler.authoring.rewrite import AuthoringError
from specs.diagnostics.nearest import NearestNames
from specs.enrollment import DiscoveredMachine as Candidate
from specs.enrollment import EnrollmentReport, enrollment
from specs.fleet import CompiledFleet

_NO_ADDRESS = IPv4Address(0)
_MOST_SHOWN = 3


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
