"""The MAC addresses of physical Ethernet interfaces."""

import re
from pathlib import Path

from agent.inspection.host_paths import read_line

_ETHERNET = "1"  # ARPHRD_ETHER
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def physical_macs(sysfs: Path, boot_mac: str = "") -> tuple[str, ...]:
    """Return the MAC addresses in lower case, the boot NIC first, then by interface name.

    Physical means: backed by a device, and not a virtual function of another NIC.
    Of a bond's member the permanent address is returned, not the one it shares.
    """
    interfaces = sorted((sysfs / "class/net").glob("*"), key=lambda path: path.name)
    macs = [_mac(interface) for interface in interfaces if _is_physical(interface)]
    found = list(dict.fromkeys(mac for mac in macs if mac))
    return tuple(sorted(found, key=lambda mac: mac != boot_mac))


def _is_physical(interface: Path) -> bool:
    device = interface / "device"
    return (
        device.exists()
        and not (device / "physfn").exists()
        and read_line(interface / "type") == _ETHERNET
    )


def _mac(interface: Path) -> str:
    permanent = read_line(interface / "bonding_slave/perm_hwaddr")
    mac = (permanent or read_line(interface / "address")).lower()
    return mac if _MAC.fullmatch(mac) and mac != "00:00:00:00:00:00" else ""
