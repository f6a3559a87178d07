"""A disk's place in the machine as a name that survives restarts.

The form is that of udev's ``/dev/disk/by-path`` (systemd's ``udev-builtin-path_id``),
derived from the kernel's device path alone because the RAM system runs no udev.
"""

import re
from pathlib import Path

from agent.inspection.host_paths import read_line

_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
_BELOW_CONTROLLER = re.compile(r"mmc_host|(host|ata|virtio|usb)\d+|nvme|block")
_USB_INTERFACE = re.compile(r"\d+-([\d.]+:\d+\.\d+)")
_ATA_PORT = re.compile(r"ata\d+")
_SCSI_HOST = re.compile(r"host(\d+)")
_SCSI_ADDRESS = re.compile(r"\d+:(\d+:\d+:\d+)")


def hardware_path(block: Path) -> str:
    """Return for example ``pci-0000:00:1f.2-ata-1`` for a directory of ``/sys/block``.

    An arrangement that udev has no name for gets the kernel's own device path.
    """
    device = block.resolve()
    parts = device.parts
    bus = _bus(parts)
    unit = _unit(device)
    if bus or unit:
        return "-".join(part for part in (bus, unit) if part)
    tail = parts[parts.index("devices") + 1 : -2] if "devices" in parts else ()
    return f"sysfs-{'-'.join(tail)}" if tail else ""


def _bus(parts: tuple[str, ...]) -> str:
    """Return the innermost PCI function, else the innermost platform device."""
    functions = [part for part in parts if _PCI.fullmatch(part)]
    if functions:
        return f"pci-{functions[-1]}"
    if "platform" not in parts:
        return ""
    below = parts[parts.index("platform") + 1 :]
    end = next((i for i, part in enumerate(below) if _BELOW_CONTROLLER.fullmatch(part)), 0)
    return f"platform-{below[end - 1]}" if end else ""


def _unit(device: Path) -> str:
    """Return the disk's place behind its controller; empty where there is one disk only."""
    parts = device.parts
    if any(part.startswith("nvme") for part in parts) and (device / "nsid").exists():
        return f"nvme-{read_line(device / 'nsid')}"
    usb = next((m for part in reversed(parts) if (m := _USB_INTERFACE.fullmatch(part))), None)
    ata = next((part for part in parts if _ATA_PORT.fullmatch(part)), "")
    if ata:
        return f"ata-{_ata_port(device, ata)}"
    scsi = _scsi(device)
    return "-".join(part for part in (f"usb-0:{usb.group(1)}" if usb else "", scsi) if part)


def _ata_port(device: Path, ata: str) -> str:
    """Return the port's number on its controller; the kernel counts ``ataN`` over all."""
    port = _ancestor(device, ata)
    return read_line(port / "ata_port" / ata / "port_no") or ata.removeprefix("ata")


def _scsi(device: Path) -> str:
    """Return ``scsi-HOST:CHANNEL:TARGET:LUN`` with the host counted on its controller."""
    parts = device.parts
    host = next((part for part in parts if _SCSI_HOST.fullmatch(part)), "")
    address = next((m for part in parts if (m := _SCSI_ADDRESS.fullmatch(part))), None)
    if not host or address is None:
        return ""
    siblings = _ancestor(device, host).parent.glob("host*")
    numbers = [int(m.group(1)) for path in siblings if (m := _SCSI_HOST.fullmatch(path.name))]
    number = int(host.removeprefix("host"))
    return f"scsi-{number - min([*numbers, number])}:{address.group(1)}"


def _ancestor(device: Path, name: str) -> Path:
    return next(path for path in device.parents if path.name == name)
