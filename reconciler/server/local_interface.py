"""Where this host stands in the fleet's networks."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from agent.commands.ip import address_arguments
from agent.commands.runner import run_command
from reconciler.errors import ReconcilerError
from specs.fleet import CompiledNetwork


@dataclass(frozen=True, slots=True)
class LocalInterface:
    """The interface over which machines of ``network`` reach this host, and its address there."""

    name: str
    address: IPv4Address
    network: CompiledNetwork

    @property
    def broadcast(self) -> IPv4Address:
        """Return the network's directed broadcast address."""
        return self.network.subnet.broadcast_address


def local_interface(networks: Iterable[CompiledNetwork]) -> LocalInterface:
    """Return this host's place in the fleet's networks.

    Raises ReconcilerError RW902 when it has none, or several to choose from.
    """
    networks = tuple(networks)
    found = list(match(run_command(address_arguments()).stdout, networks))
    if len(found) == 1:
        return found[0]
    wanted = ", ".join(f"{network.name} ({network.subnet})" for network in networks)
    if not found:
        raise ReconcilerError(
            "RW902",
            f"no address of this host lies in a network of the fleet: {wanted or 'it has none'}",
            "Give this host an address there, or run the command where it has one "
            "(in a virtual rack: `rackwright lab exec -- rackwright …`)",
        )
    places = ", ".join(f"{place.address} on {place.name}" for place in found)
    raise ReconcilerError(
        "RW902",
        f"this host has several addresses in the fleet's networks: {places}",
        "One reconciler serves one network for now: leave it one of these addresses",
    )


def match(output: bytes, networks: tuple[CompiledNetwork, ...]) -> Iterable[LocalInterface]:
    """Yield each place that ``ip -j address show`` reports within ``networks``."""
    for link in json.loads(output):
        for entry in link.get("addr_info", ()):
            if entry.get("family") != "inet":
                continue
            interface = IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")
            for network in networks:
                if interface.ip in network.subnet:
                    yield LocalInterface(link["ifname"], interface.ip, network)
