"""SMBIOS, network and capacity of the machine, as a report carries them."""

import re
from pathlib import Path

from agent.inspection.host_paths import HostPaths, read_line
from agent.wire.report import Hardware

_MEMORY = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)
# EFI_GLOBAL_VARIABLE (UEFI 2.10, 3.3). efivarfs puts four bytes of attributes in front.
_SECURE_BOOT = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_EFI_ATTRIBUTES = 4
_ETHERNET = "1"  # ARPHRD_ETHER
# Board makers ship these where nobody filled the field in; as identities they would
# make two machines one.
_UNFILLED = re.compile(
    r"|to be filled by o\.?e\.?m\.?|default string|system (serial number|manufacturer"
    r"|product name|version)|not (specified|applicable|available)|none|n/a|unknown|o\.?e\.?m\.?"
    r"|[0x.\-\s]*|123456789?0?|empty|invalid",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def inspect_hardware(paths: HostPaths, boot_mac: str = "") -> Hardware:
    """Return the machine's hardware; ``boot_mac`` is the NIC it booted from, where known."""
    smbios = paths.sysfs / "class/dmi/id"  # DMTF DSP0134, type 1
    return Hardware(
        macs=physical_macs(paths.sysfs, boot_mac),
        uuid=usable_uuid(read_line(smbios / "product_uuid")),
        serial=usable_text(read_line(smbios / "product_serial")),
        vendor=usable_text(read_line(smbios / "sys_vendor")),
        product=usable_text(read_line(smbios / "product_name")),
        cpus=cpu_count(paths.sysfs),
        memory=memory_bytes(paths.proc),
        firmware=firmware_kind(paths.sysfs),
        secure_boot=secure_boot_enabled(paths.sysfs),
    )


def usable_uuid(text: str) -> str:
    """Return the UUID in lower case, empty where it is malformed.

    Which ones many machines share is for the server to know.
    """
    uuid = text.lower()
    return uuid if _UUID.fullmatch(uuid) else ""


def usable_text(text: str) -> str:
    """Return the text, empty where it is a placeholder of the board's maker."""
    return "" if _UNFILLED.fullmatch(text) else text


def cpu_count(sysfs: Path) -> int:
    """Return the number of processors online."""
    return count_in_list(read_line(sysfs / "devices/system/cpu/online"))


def count_in_list(text: str) -> int:
    """Return how many numbers a kernel CPU list such as ``0-3,6`` holds; 0 for no list."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return 0
        count += int(last or first) - int(first) + 1
    return count


def memory_bytes(proc: Path) -> int:
    """Return the memory that the kernel manages; 0 where it does not say."""
    try:
        match = _MEMORY.search((proc / "meminfo").read_text("ascii"))
    except OSError:
        return 0
    return int(match.group(1)) * 1024 if match else 0


def firmware_kind(sysfs: Path) -> str:
    """Return ``uefi`` or ``bios``."""
    return "uefi" if (sysfs / "firmware/efi").is_dir() else "bios"


def secure_boot_enabled(sysfs: Path) -> bool:
    """Return whether Secure Boot is enforced; False where efivarfs does not tell."""
    try:
        value = (sysfs / _SECURE_BOOT).read_bytes()
    except OSError:
        return False
    return value[_EFI_ATTRIBUTES:] == b"\x01"


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
