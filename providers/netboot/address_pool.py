"""Which addresses of one network's dynamic range nobody has. No I/O."""

from datetime import datetime
from hashlib import sha256
from heapq import heapify, heappop, heappush
from ipaddress import IPv4Address

from providers.netboot.leases import Lease
from providers.netboot.served_fleet import Reservations
from specs.fleet import CompiledNetwork

_FREE, _TAKEN, _NEVER = 0, 1, 2
_MOST_SPARE_LOOKS = 1024
"""Looks at addresses that were given back early: a storm of strangers leaves nothing else."""


class AddressPool:
    """One byte per address of the range, so that the next free one is found by memchr.

    An address that is nobody's to give (the server, the gateway, a reservation) is never
    free. An address that a lease takes is free again when the lease has run out.
    """

    def __init__(
        self, network: CompiledNetwork, server: IPv4Address, reservations: Reservations
    ) -> None:
        self.network = network
        self._not_ours = {server, network.gateway, *network.nameservers}
        self._not_ours |= {network.subnet.network_address, network.subnet.broadcast_address}
        self._first = 0
        self._marks = bytearray()
        self._expires: dict[int, datetime] = {}
        self._looks: list[tuple[datetime, int]] = []
        self._next_look: dict[int, datetime] = {}
        pool = network.dhcp_range
        if pool is None:
            return
        self._first = int(pool.first)
        self._marks = bytearray(int(pool.last) - self._first + 1)
        for address in reservations.between(pool.first, pool.last):
            self._marks[int(address) - self._first] = _NEVER
        for other in self._not_ours:
            if other is not None and 0 <= int(other) - self._first < len(self._marks):
                self._marks[int(other) - self._first] = _NEVER

    def is_usable(self, address: IPv4Address) -> bool:
        """Return whether a machine in the network may have the address at all."""
        return address in self.network.subnet and address not in self._not_ours

    def is_dynamic(self, address: IPv4Address) -> bool:
        """Return whether the address is in the range and nobody's reservation."""
        place = int(address) - self._first
        return 0 <= place < len(self._marks) and self._marks[place] != _NEVER

    def take(self, lease: Lease) -> None:
        """Note the lease of an address in place of its former one."""
        place = int(lease.address) - self._first
        if not self.is_dynamic(lease.address):
            return
        if lease.state == "released":
            self._free(place)
            return
        self._marks[place] = _TAKEN
        self._expires[place] = lease.expires
        self._look_again(place, lease.expires)

    def give_back(self, address: IPv4Address) -> None:
        """Note that an address has no lease."""
        if self.is_dynamic(address):
            self._free(int(address) - self._first)

    def find(self, mac: str, now: datetime) -> IPv4Address | None:
        """Return a free address, None if all are taken.

        The MAC decides where the search starts, so that a machine tends to get the same
        address after the records are lost.
        """
        self._expire(now)
        if not self._marks:
            return None
        start = int.from_bytes(sha256(mac.encode()).digest()[:8]) % len(self._marks)
        place = self._marks.find(_FREE, start)
        if place < 0:
            place = self._marks.find(_FREE)
        return None if place < 0 else IPv4Address(self._first + place)

    def _free(self, place: int) -> None:
        self._marks[place] = _FREE
        self._expires.pop(place, None)
        if len(self._looks) > 2 * len(self._expires) + _MOST_SPARE_LOOKS:
            self._looks = [(at, taken) for taken, at in self._expires.items()]
            heapify(self._looks)
            self._next_look = dict(self._expires)

    def _look_again(self, place: int, at: datetime) -> None:
        """Have the address looked at when its lease ends; a renewal adds no second look."""
        planned = self._next_look.get(place)
        if planned is None or at < planned:
            self._next_look[place] = at
            heappush(self._looks, (at, place))

    def _expire(self, now: datetime) -> None:
        while self._looks and self._looks[0][0] <= now:
            at, place = heappop(self._looks)
            if self._next_look.get(place) != at:
                continue
            del self._next_look[place]
            expires = self._expires.get(place)
            if expires is None:
                continue
            if now < expires:
                self._look_again(place, expires)
            else:
                self._free(place)
