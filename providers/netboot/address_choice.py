"""Which address a machine gets. Pure: reads leases, records nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv4Address

from providers.netboot.errors import Problem
from providers.netboot.leases import Lease, LeaseStore
from specs.fleet import CompiledNetwork

_PROBES = 32
"""Single look-ups before all of the network's leases are read to find what is free."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The address, None if there is none; ``problem`` can come with an address too."""

    address: IPv4Address | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What an answer depends on besides the message and the leases."""

    network: CompiledNetwork
    server: IPv4Address
    """Our own address in DHCP's option 54; never given away."""
    reservations: Mapping[str, IPv4Address]
    """MAC -> address, for all networks."""
    now: datetime


def choose_address(
    mac: str, wanted: IPv4Address | None, context: ServerContext, leases: LeaseStore
) -> Choice:
    """Return the address for ``mac``: reserved, else the one it had, else as wished, else free.

    ``wanted`` is the client's own wish (RFC 2131 section 4.3.1). Among free ones
    the MAC decides where the search starts, so that a machine tends to get the
    same address after the records are lost.
    """
    pool = _Pool(mac, context, leases)
    reserved, problem = _reserved(pool)
    if reserved is not None:
        return Choice(reserved)
    former = leases.of_mac(context.network.name, mac)
    for address in (former.address if former else None, wanted):
        if address is not None and pool.is_dynamic(address) and pool.is_free(address):
            return Choice(address, problem)
    found = pool.search()
    return Choice(found, problem) if found else Choice(None, _exhausted(pool))


class _Pool:
    """The dynamic range as one machine sees it now."""

    def __init__(self, mac: str, context: ServerContext, leases: LeaseStore) -> None:
        self.mac = mac
        self.network = context.network
        self.reservation = context.reservations.get(mac)
        self.leases = leases
        self.now = context.now
        network = context.network
        self._not_ours = {context.server, network.gateway, *network.nameservers}
        self._not_ours |= {network.subnet.network_address, network.subnet.broadcast_address}
        self._reserved = set(context.reservations.values())

    def is_usable(self, address: IPv4Address) -> bool:
        """Return whether a machine in the network may have the address at all."""
        return address in self.network.subnet and address not in self._not_ours

    def is_dynamic(self, address: IPv4Address) -> bool:
        """Return whether the address is in the range and nobody's reservation."""
        pool = self.network.dhcp_range
        return (
            pool is not None
            and pool.first <= address <= pool.last
            and self.is_usable(address)
            and address not in self._reserved
        )

    def is_free(self, address: IPv4Address) -> bool:
        """Return whether the machine may have the address now: free, or its own."""
        return self.may_take(self.leases.of_address(address))

    def may_take(self, lease: Lease | None) -> bool:
        """Return whether the record leaves its address to the machine."""
        if lease is None or not lease.is_active(self.now):
            return True
        return lease.mac == self.mac and lease.state != "declined"

    def search(self) -> IPv4Address | None:
        """Return a free address of the range, None if all are taken."""
        for tries, address in enumerate(self._from_own_place()):
            if tries == _PROBES:
                break
            if self.is_dynamic(address) and self.is_free(address):
                return address
        taken = {
            lease.address
            for lease in self.leases.of_network(self.network.name)
            if not self.may_take(lease)
        }
        free = (a for a in self._from_own_place() if a not in taken and self.is_dynamic(a))
        return next(free, None)

    def _from_own_place(self) -> Iterator[IPv4Address]:
        pool = self.network.dhcp_range
        if pool is None:
            return
        first, size = int(pool.first), int(pool.last) - int(pool.first) + 1
        start = int.from_bytes(sha256(self.mac.encode()).digest()[:8]) % size
        for step in range(size):
            yield IPv4Address(first + (start + step) % size)


def _reserved(pool: _Pool) -> tuple[IPv4Address | None, Problem | None]:
    """Return the machine's reservation if it can be given, else why not.

    A reservation in another network is no problem: the machine is a guest here.
    """
    address, network = pool.reservation, pool.network.name
    if address is None or address not in pool.network.subnet:
        return None, None
    if not pool.is_usable(address):
        return None, Problem(
            "RW307",
            f"{pool.mac} is to have {address}, which is the gateway, a server or no host "
            f"address of network {network}",
            "Give the machine another address under identity.addresses",
        )
    lease = pool.leases.of_address(address)
    if lease is None or pool.may_take(lease):
        return address, None
    holder = "a device that is not ours" if lease.state == "declined" else lease.mac
    return None, Problem(
        "RW307",
        f"{pool.mac} is to have {address} of network {network}, but {holder} uses it "
        f"until {lease.expires:%Y-%m-%d %H:%M:%S %Z}",
        "The machine gets an address of the range until then; free the address to be quicker",
    )


def _exhausted(pool: _Pool) -> Problem:
    network, addresses = pool.network, pool.network.dhcp_range
    if addresses is None:
        return Problem(
            "RW306",
            f"network {network.name} has no dhcp range and no address is reserved for {pool.mac}",
            "Add a range to the Network, or the machine with an address in identity.addresses",
        )
    size = int(addresses.last) - int(addresses.first) + 1
    return Problem(
        "RW306",
        f"all {size} addresses from {addresses.first} to {addresses.last} of network "
        f"{network.name} are taken, {pool.mac} gets none",
        "Widen the network's dhcp range or shorten its lease time",
    )
