"""What the fleet says to network boot, with a look-up for each question that a packet asks."""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address

from specs.fleet import CompiledNetwork


class Reservations:
    """The fixed addresses of the fleet's machines, in all networks.

    ``pairs`` are (MAC, address); a machine may have an address in each of several networks.
    Build it anew when the fleet changes.
    """

    def __init__(self, pairs: Iterable[tuple[str, IPv4Address]] = ()) -> None:
        self._by_mac: dict[str, tuple[IPv4Address, ...]] = {}
        self._addresses: set[IPv4Address] = set()
        for mac, address in pairs:
            self._by_mac[mac] = (*self._by_mac.get(mac, ()), address)
            self._addresses.add(address)

    def __contains__(self, mac: object) -> bool:
        """Return whether anything is reserved for a MAC."""
        return mac in self._by_mac

    def of(self, mac: str, network: CompiledNetwork) -> IPv4Address | None:
        """Return the address that a MAC is to have in a network."""
        addresses = self._by_mac.get(mac, ())
        return next((address for address in addresses if address in network.subnet), None)

    def between(self, first: IPv4Address, last: IPv4Address) -> Iterable[IPv4Address]:
        """Return the reserved addresses of a range, in no order."""
        return (address for address in self._addresses if first <= address <= last)


class ServedFleet:
    """The networks and reservations that packets are answered by, as of one revision."""

    def __init__(
        self, networks: Iterable[CompiledNetwork] = (), reservations: Reservations | None = None
    ) -> None:
        self.networks = tuple(sorted(networks, key=lambda net: int(net.subnet.network_address)))
        self.reservations = reservations if reservations is not None else Reservations()
        self._starts = [int(net.subnet.network_address) for net in self.networks]

    def network_of(self, address: IPv4Address) -> CompiledNetwork | None:
        """Return the network that an address lies in; networks do not overlap."""
        place = bisect_right(self._starts, int(address)) - 1
        if place < 0 or address not in self.networks[place].subnet:
            return None
        return self.networks[place]
