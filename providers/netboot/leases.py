"""Who has which address: the lease records of our own DHCP server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Literal, Protocol

LeaseState = Literal["offered", "bound", "released", "declined"]


@dataclass(frozen=True, slots=True)
class Lease:
    """One address of one network and who has it until when.

    The key is the MAC, not option 61: firmware, iPXE, GRUB and the installed
    system send different client identifiers, and a machine that boots through all
    four would take four addresses and fail the check that a boot script is asked
    for by the machine it is for. ``declined`` means that a client found the address
    in use by someone else; ``mac`` is then who said so.
    """

    network: str
    address: IPv4Address
    mac: str
    state: LeaseState
    expires: datetime

    def is_active(self, now: datetime) -> bool:
        """Return whether the address is taken: promised, in use or in quarantine."""
        return self.state != "released" and now < self.expires

    def is_held(self, now: datetime) -> bool:
        """Return whether ``mac`` may be the one that uses the address."""
        return self.state in ("offered", "bound") and now < self.expires


class LeaseStore(Protocol):
    """Keeps leases, expired ones too: a machine that comes back gets its old address.

    Networks do not overlap, so an address names one record. All calls come from
    the event loop's thread and are quick.
    """

    def of_mac(self, network: str, mac: str) -> Lease | None:
        """Return the machine's latest record in the network that is not ``declined``."""

    def of_address(self, address: IPv4Address) -> Lease | None:
        """Return the address's record."""

    def of_network(self, network: str) -> Sequence[Lease]:
        """Return all records of the network."""

    def put(self, lease: Lease) -> None:
        """Record the lease in place of the address's former record.

        Any other record of the same MAC and network that is not ``declined`` goes.
        """

    def drop(self, address: IPv4Address) -> None:
        """Forget the address's record, if there is one."""


class InMemoryLeaseStore:
    """A ``LeaseStore`` that lasts as long as the process: for one short-lived network."""

    def __init__(self) -> None:
        self._by_address: dict[IPv4Address, Lease] = {}
        self._by_mac: dict[tuple[str, str], IPv4Address] = {}

    def of_mac(self, network: str, mac: str) -> Lease | None:
        """Return the machine's record, see ``LeaseStore``."""
        address = self._by_mac.get((network, mac))
        return None if address is None else self._by_address[address]

    def of_address(self, address: IPv4Address) -> Lease | None:
        """Return the address's record."""
        return self._by_address.get(address)

    def of_network(self, network: str) -> Sequence[Lease]:
        """Return all records of the network."""
        return [lease for lease in self._by_address.values() if lease.network == network]

    def put(self, lease: Lease) -> None:
        """Record the lease, see ``LeaseStore``."""
        self.drop(lease.address)
        if lease.state != "declined":
            former = self._by_mac.get((lease.network, lease.mac))
            if former is not None:
                self.drop(former)
            self._by_mac[lease.network, lease.mac] = lease.address
        self._by_address[lease.address] = lease

    def drop(self, address: IPv4Address) -> None:
        """Forget the address's record."""
        lease = self._by_address.pop(address, None)
        if lease is not None and self._by_mac.get((lease.network, lease.mac)) == address:
            del self._by_mac[lease.network, lease.mac]
