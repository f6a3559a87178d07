"""The rack's network: one bridge, one port for each machine."""

import fcntl
import struct
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from typing import BinaryIO

from agent.commands.ip import parse_links
from agent.errors import TerminalError
from providers.lab import nft, tc
from providers.lab.command import run
from providers.lab.rack import Rack

BRIDGE = "rack0"
UPLINK = "uplink0"
"""A port without a machine; see ``hold_up``."""
_PACKAGE = "iproute2"
_BRIDGE_OPTIONS = "stp_state 0 forward_delay 0 mcast_snooping 0"
_TAP_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000


def tap_names(rack: Rack) -> dict[str, str]:
    """Return machine name → port; ports are numbered, as a name may be longer than 15 bytes."""
    return {machine.name: f"tap{index}" for index, machine in enumerate(rack.machines)}


def build_network(rack: Rack) -> None:
    """Make the network in this process's namespace, which has to be a new one."""
    taps = tap_names(rack)
    links = [(taps[machine.name], machine.link) for machine in rack.machines]
    build_bridge(rack.bridge.address, list(taps.values()))
    nft.lose_frames({tap: link.loss for tap, link in links if link.loss is not None})
    tc.limit_rates({tap: link.rate.bits_per_second for tap, link in links if link.rate is not None})


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
    """Make the bridge with its ports in this process's namespace. RW801, RW809, RW815."""
    require_new_namespace()
    run_batch(batch(address, taps))


def run_batch(lines: str) -> None:
    """Have ip do what each line says. RW801, RW809."""
    run(["ip", "-batch", "-"], package=_PACKAGE, standard_input=lines)


def require_new_namespace() -> None:
    """Raise RW815 where an interface is up: no network that is in use may ever be touched.

    In a new namespace not even the loopback is up.
    """
    up = run(["ip", "-json", "link", "show", "up"], package=_PACKAGE)
    if interfaces := parse_links(up.encode()):
        raise TerminalError(
            "RW815",
            f"a rack would be made in a network that is in use ({', '.join(interfaces)})",
            "Start racks with rackwright lab, which makes a network namespace for each",
        )


def hold_up(interface: str) -> BinaryIO:
    """Return an open tap that keeps the bridge's link up while all machines are off.

    A switch keeps the host's link up whatever hangs on it. A Linux bridge loses its carrier
    with its last port and then drops what the host sends, magic packets among it. A tap
    has carrier while a process holds it open; dummy interfaces are missing in small kernels.
    What it is sent is dropped.
    """
    tap = _TAP_DEVICE.open("r+b", buffering=0)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap
