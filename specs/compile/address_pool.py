"""Which addresses of a network a machine may have."""

from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.fleet import CompiledNetwork
from specs.types.ipv4 import hosts, is_host
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.diagnostics.path import Path


class AddressPool:
    """The addresses of a network that a machine may have without a word."""

    def __init__(self, network: CompiledNetwork) -> None:
        self.network = network
        self._hosts = hosts(network.subnet)
        self._prefix_length = network.subnet.prefixlen
        self._gateway = None if network.gateway is None else int(network.gateway)
        self._leased = _leased(network)

    def has(self, address: IPv4Interface) -> bool:
        """Return whether nothing is to be said of an address."""
        number = int(address)
        return (
            number in self._hosts
            and number != self._gateway
            and number not in self._leased
            and address.network.prefixlen == self._prefix_length
        )


def report_address(
    resource: Resource,
    index: int,
    address: IPv4Interface,
    network: CompiledNetwork,
    diagnostics: Diagnostics,
) -> None:
    """Report what is wrong with an address that is not simply one of the network."""
    path: Path = ("spec", "identity", "addresses", index)
    place, shown = resource.document.position(path), resource.document.shown(path)
    reason = _misfit(address, network)
    if reason:
        diagnostics.error(
            place,
            Code.OUTSIDE_NETWORK,
            f"{shown}: {address} {reason}",
            f"network {network.name} is defined at {network.position}",
        )
    else:
        diagnostics.warning(
            place,
            Code.ADDRESS_LEASED,
            f"{shown}: {address.ip} is inside the DHCP range of network {network.name}",
            "another machine could be leased the address; move it out of the range",
        )


def _misfit(address: IPv4Interface, network: CompiledNetwork) -> str:
    """Return why no machine of the network can have the address, or nothing."""
    subnet = network.subnet
    if address not in subnet:
        return f"is not in {subnet}, the subnet of network {network.name}"
    if address.network.prefixlen != subnet.prefixlen:
        return f"has another prefix length than {subnet}, the subnet of network {network.name}"
    if not is_host(address, subnet):
        return f"is the subnet's own or its broadcast address in network {network.name}"
    if network.gateway is not None and int(address) == int(network.gateway):
        return f"is the gateway of network {network.name}"
    return ""


def _leased(network: CompiledNetwork) -> range:
    """Return the addresses that other machines may get, as numbers."""
    leased = network.dhcp_range
    if leased is None or network.dhcp_mode != "server":
        return range(0)
    return range(int(leased.first), int(leased.last) + 1)
