"""Which address a machine gets. Pure: reads leases, records nothing."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

from providers.netboot.errors import Problem
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import Reservations
from specs.fleet import CompiledNetwork


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
    reservations: Reservations
    now: datetime


def choose_address(
    mac: str, wanted: IPv4Address | None, context: ServerContext, leases: LeaseTable
) -> Choice:
    """Return the address for ``mac``: reserved, else the one it had, else as wished, else free.

    ``wanted`` is the client's own wish (RFC 2131 section 4.3.1).
    """
    pool = leases.pool(context.network)
    reserved, problem = _reserved(mac, context, leases)
    if reserved is not None:
        return Choice(reserved)
    former = leases.of_mac(context.network.name, mac)
    for address in (former.address if former else None, wanted):
        if address is None or not pool.is_dynamic(address):
            continue
        if _may_take(mac, leases.of_address(address), context.now):
            return Choice(address, problem)
    found = pool.find(mac, context.now)
    return Choice(found, problem) if found else Choice(None, _exhausted(mac, context.network))


def _may_take(mac: str, lease: Lease | None, now: datetime) -> bool:
    """Return whether the record leaves its address to the machine."""
    if lease is None or not lease.is_active(now):
        return True
    return lease.mac == mac and lease.state != "declined"


def _reserved(
    mac: str, context: ServerContext, leases: LeaseTable
) -> tuple[IPv4Address | None, Problem | None]:
    """Return the machine's reservation if it can be given, else why not.

    A machine that has reservations in other networks only is a guest here.
    """
    network = context.network
    address = context.reservations.of(mac, network)
    if address is None:
        return None, None
    if not leases.pool(network).is_usable(address):
        return None, Problem(
            "RW307",
            f"{mac} is to have {address}, which is the gateway, a server or no host "
            f"address of network {network.name}",
            "Give the machine another address under identity.addresses",
        )
    lease = leases.of_address(address)
    if lease is None or _may_take(mac, lease, context.now):
        return address, None
    owner = "a device that is not ours" if lease.state == "declined" else lease.mac
    return None, Problem(
        "RW307",
        f"{mac} is to have {address} of network {network.name}, but {owner} uses it "
        f"until {lease.expires:%Y-%m-%d %H:%M:%S %Z}",
        "The machine gets an address of the range until then; free the address to be quicker",
    )


def _exhausted(mac: str, network: CompiledNetwork) -> Problem:
    addresses = network.dhcp_range
    if addresses is None:
        return Problem(
            "RW306",
            f"network {network.name} has no dhcp range and no address is reserved for {mac}",
            "Add a range to the Network, or the machine with an address in identity.addresses",
        )
    size = int(addresses.last) - int(addresses.first) + 1
    return Problem(
        "RW306",
        f"all {size} addresses from {addresses.first} to {addresses.last} of network "
        f"{network.name} are taken, {mac} gets none",
        "Widen the network's dhcp range or shorten its lease time",
    )
