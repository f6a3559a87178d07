"""Which machines of a fleet call the same thing their own. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import IPv4Address
from typing import NamedTuple

from reconciler.state.hardware import FleetHardware
from reconciler.state.reported_identities import Identity, IdentityKind, ReportedIdentity
from specs.fleet import CompiledFleet, CompiledMachine

MOST_NAMED = 3
"""Other machines that a sentence names; an image with a forgotten key may make thousands."""
_COPIED = "their disks are copies of one image; restore one of them with `identity: apply`, or "
_NEW_ID = "remove /etc/machine-id there, say `systemd-machine-id-setup` and restart it"
_NEW_KEYS = "remove /etc/ssh/ssh_host_*_key* there and say `ssh-keygen -A`"
_WORDS: Mapping[IdentityKind, tuple[str, str, str]] = {
    "host-name": ("host name", "host names", "give one of them another"),
    "machine-id": ("machine-id", "machine-ids", _COPIED + _NEW_ID),
    "ssh-host-key": ("SSH host key", "SSH host keys", _COPIED + _NEW_KEYS),
    "address": ("address", "addresses", "take it from one of them"),
}


class SharedIdentity(NamedTuple):
    """One thing that several machines call their own."""

    identity: Identity
    machines: tuple[str, ...]
    """All that do, in the order of names."""
    since: datetime
    """When the second of them began to report it."""


def may_be_shared(fleet: CompiledFleet, machine: CompiledMachine, identity: Identity) -> bool:
    """Return whether others may have an identity of this machine.

    Addresses are compared where the repository knows them: in the machine's network, and those
    that its document names. Bridges of containers have the same ones everywhere.
    """
    if identity.kind != "address":
        return False
    try:
        address = IPv4Address(identity.value)
    except ValueError:
        return True
    network = fleet.networks.get(machine.network)
    declared = any(each.ip == address for each in machine.addresses)
    return not declared and (network is None or address not in network.subnet)


def shared_identities(
    fleet: CompiledFleet,
    hardware: FleetHardware,
    reported: Iterable[ReportedIdentity],
    oldest: datetime,
) -> Mapping[str, tuple[SharedIdentity, ...]]:
    """Return, by machine of the fleet, what it shares with which others.

    What was reported before ``oldest`` is too old to say anything.
    """
    found: defaultdict[Identity, dict[str, datetime]] = defaultdict(dict)
    for each in reported:
        name = hardware.owner(each.hardware)
        if name is None or each.heard_at < oldest:
            continue
        if not may_be_shared(fleet, fleet.machines[name], each.identity):
            owners = found[each.identity]
            owners[name] = min(owners.get(name, each.since), each.since)
    shared: defaultdict[str, list[SharedIdentity]] = defaultdict(list)
    for identity in sorted(found):
        owners = found[identity]
        if len(owners) > 1:
            _, second, *_ = sorted(owners.values())
            several = SharedIdentity(identity, tuple(sorted(owners)), second)
            for name in several.machines:
                shared[name].append(several)
    return {name: tuple(each) for name, each in shared.items()}


def sentences(machine: str, shared: Iterable[SharedIdentity]) -> tuple[str, ...]:
    """Return what a machine shares with whom and what helps, a clause for each kind and company."""
    together: dict[tuple[IdentityKind, tuple[str, ...]], list[SharedIdentity]] = {}
    for each in shared:
        together.setdefault((each.identity.kind, each.machines), []).append(each)
    return tuple(
        _sentence(machine, kind, machines, [each.identity.value for each in found])
        for (kind, machines), found in together.items()
    )


def _sentence(
    machine: str, kind: IdentityKind, machines: tuple[str, ...], values: list[str]
) -> str:
    one, many, action = _WORDS[kind]
    more = f" and {len(values) - 1} more" if len(values) > 1 else ""
    others = [name for name in machines if name != machine]
    named = ", ".join(others[:MOST_NAMED])
    rest = len(others) - MOST_NAMED
    company = f"{named} and {rest:,} more machines" if rest > 0 else named
    what = f"{one if len(values) == 1 else many} {values[0]}{more}"
    return f"has the {what} of {company} too: {action}"
