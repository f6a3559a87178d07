"""Machines that were seen and are in no document."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.authoring.rewrite import AuthoringError
from reconciler.state.observed import Sighting
from specs.types import hardware_uuid, mac_address
from specs.types.invalid_value import InvalidValue

_NAME_PREFIX = "node-"


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
        return _NAME_PREFIX + self.macs[0].replace(":", "")


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
