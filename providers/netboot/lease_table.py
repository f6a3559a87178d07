"""The leases in memory, loaded once: what every packet is answered from."""

from collections import OrderedDict
from ipaddress import IPv4Address

from providers.netboot.address_pool import AddressPool
from providers.netboot.leases import Lease, LeaseStore
from providers.netboot.served_fleet import ServedFleet
from specs.fleet import CompiledNetwork

_MOST_OFFERS = 8192
"""Offers that nobody has taken yet. Strangers can ask for any number; a client whose offer
was forgotten gets the address all the same if nobody else has it by then."""


class LeaseTable:
    """Owns the leases; nobody else changes the store.

    Leases are durable before ``put`` returns. Offers are kept in memory only (RFC 2131
    section 4.3.1 does not ask for more) and only the ``offers`` latest ones. A machine that
    comes back gets its old address: records stay after their end, one per address.
    """

    def __init__(self, store: LeaseStore, offers: int = _MOST_OFFERS) -> None:
        self._store = store
        self._most_offers = offers
        self._by_address: dict[IPv4Address, Lease] = {}
        self._by_mac: dict[tuple[str, str], IPv4Address] = {}
        self._offers: OrderedDict[IPv4Address, None] = OrderedDict()
        self._pools: dict[str, AddressPool] = {}
        for lease in store.all():
            self._keep(lease)

    def serve(self, fleet: ServedFleet, server: IPv4Address) -> None:
        """Give addresses of these networks from now on; ``server`` is our own address."""
        self._pools = {
            network.name: AddressPool(network, server, fleet.reservations)
            for network in fleet.networks
            if network.dhcp_mode == "server"
        }
        for lease in self._by_address.values():
            if lease.network in self._pools:
                self._pools[lease.network].take(lease)

    def pool(self, network: CompiledNetwork) -> AddressPool:
        """Return the dynamic range of a network that is served."""
        return self._pools[network.name]

    def of_mac(self, network: str, mac: str) -> Lease | None:
        """Return the machine's record in the network that is not ``declined``."""
        address = self._by_mac.get((network, mac))
        return None if address is None else self._by_address[address]

    def of_address(self, address: IPv4Address) -> Lease | None:
        """Return the address's record."""
        return self._by_address.get(address)

    def put(self, lease: Lease) -> None:
        """Record the lease in place of the address's and the machine's former records.

        Raises what the store raises; nothing is changed then.
        """
        if lease.state != "offered":
            self._store.put(lease)
        self._keep(lease)
        pool = self._pools.get(lease.network)
        if pool is not None:
            pool.take(lease)
        while len(self._offers) > self._most_offers:
            self.drop(next(iter(self._offers)))

    def drop(self, address: IPv4Address) -> None:
        """Forget an offer."""
        self._offers.pop(address, None)
        lease = self._by_address.pop(address, None)
        if lease is None:
            return
        if self._by_mac.get((lease.network, lease.mac)) == address:
            del self._by_mac[lease.network, lease.mac]
        if lease.network in self._pools:
            self._pools[lease.network].give_back(address)

    def _keep(self, lease: Lease) -> None:
        key = (lease.network, lease.mac)
        self.drop(lease.address)
        if lease.state != "declined":
            former = self._by_mac.get(key)
            if former is not None:
                self.drop(former)
            self._by_mac[key] = lease.address
        self._by_address[lease.address] = lease
        if lease.state == "offered":
            self._offers[lease.address] = None
