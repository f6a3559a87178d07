"""The bridge and its ports, made by ip."""

from collections.abc import Sequence
from ipaddress import IPv4Interface

from agent.commands.ip import batch_arguments, links_up_arguments, parse_links
from providers.lab.command import run
from providers.lab.errors import namespace_in_use

BRIDGE = "rack0"
UPLINK = "uplink0"
"""A port without a machine; see ``providers.lab.uplink``."""
_PACKAGE = "iproute2"
_BRIDGE_OPTIONS = "stp_state 0 forward_delay 0 mcast_snooping 0"


def bridge_mac(address: IPv4Interface) -> str:
    """Return a locally administered MAC for the bridge, the same for the same address."""
    return (b"\x02\x00" + address.ip.packed).hex(":")


def batch(address: IPv4Interface, taps: Sequence[str]) -> str:
    """Return what ``ip -batch`` does to a fresh namespace.

    Multicast is flooded, as by a switch without snooping: nothing depends on who
    queries. The two routes let programs send without naming the interface.
    """
    lines = [
        "link set lo up",
        f"link add {BRIDGE} address {bridge_mac(address)} type bridge {_BRIDGE_OPTIONS}",
        f"address add {address} broadcast + dev {BRIDGE}",
        f"link set {BRIDGE} up",
        f"route add 224.0.0.0/4 dev {BRIDGE}",
        f"route add 255.255.255.255/32 dev {BRIDGE}",
    ]
    for tap in (UPLINK, *taps):
        lines += [
            f"tuntap add dev {tap} mode tap",
            f"link set dev {tap} addrgenmode none",  # a port says nothing of its own
            f"link set {tap} master {BRIDGE} up",
        ]
    return "\n".join(lines) + "\n"


def build_bridge(address: IPv4Interface, taps: Sequence[str]) -> None:
    """Make the bridge with its ports in this process's namespace. RW801, RW809.

    RW815, and nothing is made, where an interface is up already: in a new namespace not
    even the loopback is, and no other may ever be touched.
    """
    if interfaces := parse_links(run(links_up_arguments(), package=_PACKAGE).encode()):
        raise namespace_in_use(interfaces)
    run(batch_arguments(), package=_PACKAGE, standard_input=batch(address, taps))
