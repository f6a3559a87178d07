"""The hardware that an agent names before it is anybody: read, and bounded. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Self

from agent.wire.enrollment import EnrollmentRequest
from specs.fleet import CompiledMachine
from specs.types import mac_address
from specs.types.hardware_uuid import both_orders
from specs.types.invalid_value import InvalidValue

MOST = 64
"""NICs, and addresses, of one machine that are looked at."""
LONGEST = 255
"""Characters of a text that are kept: a host name has no more (RFC 1035, section 2.3.4)."""


@dataclass(frozen=True, slots=True)
class ClaimedHardware:
    """What identifies hardware; nothing here is proved."""

    uuids: tuple[str, ...]
    """The UUID as it was given and in the other byte order; empty where it identifies nothing."""
    nics: tuple[str, ...]
    """MACs in lower case, in the order in which they were given."""

    @classmethod
    def of(cls, request: EnrollmentRequest) -> Self:
        """Return what a request for a certificate names."""
        return cls.named(request.uuid, request.macs)

    @classmethod
    def named(cls, uuid: str, macs: Iterable[str]) -> Self:
        """Return what a UUID and MACs name; what is no identity of one machine is left out."""
        return cls(both_orders(uuid), valid_macs(macs))

    @property
    def macs(self) -> frozenset[str]:
        """Return the MACs."""
        return frozenset(self.nics)

    @property
    def identities(self) -> tuple[str, ...]:
        """Return all that it may be known by, the board first."""
        return (*(f"uuid:{uuid}" for uuid in self.uuids), *(f"mac:{mac}" for mac in self.nics))

    def is_other_board(self, machine: CompiledMachine) -> bool:
        """Return whether its UUID is not the one that the machine's document names."""
        return bool(machine.uuid and self.uuids and machine.uuid not in self.uuids)


def valid_macs(macs: Iterable[str]) -> tuple[str, ...]:
    """Return the first MACs that can be a machine's own, each once, in lower case."""
    found: dict[str, None] = {}
    for mac in macs:
        try:
            found[mac_address.normalised(mac)] = None
        except InvalidValue:
            continue
        if len(found) == MOST:
            break
    return tuple(found)


def valid_addresses(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the first IP addresses, in CIDR form, each once."""
    found: dict[str, None] = {}
    for text in addresses:
        try:
            found[str(ip_interface(text[:LONGEST]))] = None
        except ValueError:
            continue
        if len(found) == MOST:
            break
    return tuple(found)


def valid_text(text: str) -> str:
    """Return the beginning of a text, in one line."""
    return " ".join(text[:LONGEST].split())
