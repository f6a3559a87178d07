"""Leases that last as long as a test, and a look at all of a table's."""

from collections.abc import Iterable

from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease


class InMemoryLeaseStore:
    """A ``LeaseStore`` in memory."""

    def __init__(self) -> None:
        self._by_address: dict[object, Lease] = {}

    def all(self) -> Iterable[Lease]:
        """Return all records."""
        return tuple(self._by_address.values())

    def put(self, lease: Lease) -> None:
        """Record the lease, see ``LeaseStore``."""
        for other in self.all():
            of_machine = (other.network, other.mac) == (lease.network, lease.mac)
            if of_machine and "declined" not in (other.state, lease.state):
                del self._by_address[other.address]
        self._by_address[lease.address] = lease


def leases_of(table: LeaseTable, network: str) -> list[Lease]:
    """Return all records of the network, offers too."""
    return [lease for lease in table._by_address.values() if lease.network == network]
