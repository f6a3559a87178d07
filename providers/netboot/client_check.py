"""Whether the one who asks for a machine's boot script is that machine. Pure."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

from providers.netboot.errors import Problem
from providers.netboot.lease_table import LeaseTable
from providers.netboot.served_fleet import ServedFleet


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """Who asks for a boot script.

    ``label`` says how far the client is known; ``refusal`` why it gets nothing.
    ``sent_by_us`` tells that our own DHCP or ProxyDHCP sent it to its boot loader.
    """

    label: str
    sent_by_us: bool = True
    refusal: Problem | None = None


def check_client(
    mac: str,
    source: IPv4Address,
    fleet: ServedFleet,
    leases: LeaseTable,
    now: datetime,
) -> ClientCheck:
    """Return who asks from ``source`` for the script of ``mac``.

    Where we lease addresses the source must be the one leased to the MAC. Where
    another server does, nobody can say whose address it is: anyone on such a
    network can have any machine's script, which is the label network-trust.
    """
    network = fleet.network_of(source)
    if network is None:
        refusal = _refusal(mac, source, "is in none of our networks")
        return ClientCheck("unknown network", sent_by_us=False, refusal=refusal)
    if network.dhcp_mode != "server":
        label = "network-trust: the address is another DHCP server's"
        return ClientCheck(label, sent_by_us=network.dhcp_mode == "proxy")
    lease = leases.of_mac(network.name, mac)
    if lease is None or not lease.is_held(now):
        refusal = _refusal(mac, source, "is not leased to it, nothing is")
        return ClientCheck("not leased", refusal=refusal)
    if lease.address != source:
        refusal = _refusal(mac, source, f"is not leased to it, {lease.address} is")
        return ClientCheck("leased otherwise", refusal=refusal)
    return ClientCheck("leased")


def _refusal(mac: str, source: IPv4Address, why: str) -> Problem:
    return Problem(
        "RW311",
        f"{source} asked for the boot script of {mac}, but the address {why}",
        "The machine was sent to its local disk; see which device has the address",
    )
