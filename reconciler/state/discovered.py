"""Machines that are in no document: what boot requests and agents said of them, one machine once.

Pure. A boot request tells a MAC, a UUID and how it came; an agent all NICs, the maker, names and
addresses. What has one UUID or one MAC in common is one machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

from reconciler.state.observed import Sighting
from specs.types import hardware_uuid, name

_NO_ADDRESS = IPv4Address(0)
_NOT_A_NAME = frozenset({"localhost", "localhost6"})


@dataclass(frozen=True, slots=True)
class DiscoveredAgent:
    """What the agent of a machine said of it that no document has."""

    name: str
    """The name in its certificate; no machine can have it."""
    first_at: datetime
    last_at: datetime
    identities: tuple[str, ...] = ()
    """``uuid:`` in both byte orders, then ``mac:`` of each NIC."""
    hostname: str = ""
    addresses: tuple[str, ...] = ()
    """CIDR form."""
    serial: str = ""
    vendor: str = ""
    product: str = ""
    os: str = ""
    source: str = ""
    """The address that it was heard from last."""
    token_id: str = ""
    """By which person's token it enrolled last; empty for none."""
    group: str = field(default="", compare=False)
    """The group of that token."""

    @property
    def uuid(self) -> str:
        """Return the UUID as the agent gave it; empty where there is none."""
        first = self.identities[0] if self.identities else ""
        return first.removeprefix("uuid:") if first.startswith("uuid:") else ""

    @property
    def macs(self) -> tuple[str, ...]:
        """Return the MACs of its NICs."""
        return tuple(
            each.removeprefix("mac:") for each in self.identities if each.startswith("mac:")
        )


@dataclass(frozen=True, slots=True)
class DiscoveredMachine:
    """Hardware that asked for a boot or whose agent enrolled, and that is in no document."""

    macs: tuple[str, ...]
    """The NIC that asked for a boot last comes first."""
    uuid: str
    """Empty when nobody gave one, or one that many boards share."""
    source: str
    """The address that it asked for a boot from, 0.0.0.0 where it had none yet; may be empty."""
    last_seen: datetime
    relay: str = ""
    """The DHCP relay that its boot request came through; empty for none."""
    agent: DiscoveredAgent | None = None
    booted: bool = True
    """Whether it asked for a boot."""

    @property
    def default_name(self) -> str:
        """Return a name that no other machine can get: of the boot NIC's MAC."""
        return f"node-{(self.macs or (self.uuid,))[0].replace(':', '')}"

    @property
    def host_name(self) -> str:
        """Return its host name as a machine's name, without the domain; empty where it is none."""
        label = self.agent.hostname.partition(".")[0].lower() if self.agent else ""
        return label if name.is_label(label) and label not in _NOT_A_NAME else ""

    @property
    def known_by(self) -> str:
        """Return what a command may name it by: a MAC, else its UUID."""
        return self.macs[0] if self.macs else self.uuid

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """Return its own IPv4 addresses: those that its agent told, and where it asked from."""
        told = self.agent.addresses if self.agent else ()
        found = (_address(each) for each in (*told, self.source))
        return tuple(dict.fromkeys(each for each in found if each not in (None, _NO_ADDRESS)))


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Interface(text).ip
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def discovered(
    sightings: Iterable[Sighting], agents: Iterable[DiscoveredAgent] = ()
) -> tuple[DiscoveredMachine, ...]:
    """Return machines, newest first.

    MACs that came with one UUID are one machine's NICs, and an agent's machine is the one
    that asked for a boot with its UUID, else with one of its MACs and no other UUID.
    """
    left: dict[str, list[Sighting]] = {}
    key_of_mac: dict[str, str] = {}
    for sighting in sorted(sightings, key=lambda each: each.at, reverse=True):
        key = _key(sighting.uuid) or sighting.mac
        left.setdefault(key, []).append(sighting)
        key_of_mac[sighting.mac] = key
    machines: list[DiscoveredMachine] = []
    for agent in _newest_of_each(agents):
        keys = dict.fromkeys((_key(agent.uuid), *(key_of_mac.get(mac, "") for mac in agent.macs)))
        own = [key for key in keys if key in left and _may_be(_uuid(left[key]), agent.uuid)]
        seen = sorted((each for key in own for each in left.pop(key)), key=_at, reverse=True)
        machines.append(_machine(seen, agent))
    machines += [_machine(seen, None) for seen in left.values()]
    return tuple(sorted(machines, key=lambda each: each.last_seen, reverse=True))


def _newest_of_each(agents: Iterable[DiscoveredAgent]) -> Iterator[DiscoveredAgent]:
    """Yield the agents, but of hardware that has several names the one that was heard last."""
    boards: set[str] = set()
    uuids_of_mac: dict[str, set[str]] = {}
    for agent in sorted(agents, key=lambda each: each.last_at, reverse=True):
        board = _key(agent.uuid)
        same = [uuid for mac in agent.macs for uuid in uuids_of_mac.get(mac, ())]
        if (board and board in boards) or any(_may_be(uuid, agent.uuid) for uuid in same):
            continue
        boards.add(board)
        for mac in agent.macs:
            uuids_of_mac.setdefault(mac, set()).add(agent.uuid)
        yield agent


def _key(uuid: str) -> str:
    """Return one text for both byte orders of a UUID; empty for none."""
    return min(hardware_uuid.both_orders(uuid), default="")


def _may_be(uuid: str, other: str) -> bool:
    """Return whether hardware with a NIC in common is one machine: unless the boards differ."""
    return not (uuid and other) or _key(uuid) == _key(other)


def _uuid(seen: Iterable[Sighting]) -> str:
    return next(filter(None, (hardware_uuid.own(each.uuid) for each in seen)), "")


def _at(sighting: Sighting) -> datetime:
    return sighting.at


def _machine(seen: list[Sighting], agent: DiscoveredAgent | None) -> DiscoveredMachine:
    """Return the machine of boot requests, the newest first, and of an agent."""
    macs = (*(each.mac for each in seen), *(agent.macs if agent else ()))
    times = [each.at for each in seen[:1]] + ([agent.last_at] if agent else [])
    return DiscoveredMachine(
        macs=tuple(dict.fromkeys(macs)),
        uuid=(agent.uuid if agent else "") or _uuid(seen),
        source=seen[0].source if seen else "",
        last_seen=max(times),
        relay=seen[0].relay if seen else "",
        agent=agent,
        booted=bool(seen),
    )
