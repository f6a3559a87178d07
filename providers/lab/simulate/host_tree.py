"""The trees ``/sys``, ``/proc`` and ``/dev`` of a simulated machine: one folder for each boot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.inspection.host_paths import HostPaths
from providers.lab.simulate.machine_list import MachineSettings

_DISKS = {
    "vda": "devices/pci0000:00/0000:00:04.0/virtio1/block/vda",
    "vdb": "devices/pci0000:00/0000:00:05.0/virtio2/block/vdb",
}
SECOND_SERIAL = "B"
"""What the serial number of a second disk has behind the machine's."""
_MEMORY_KIB = 1 << 20
SYSTEM_NAME = "Simulated system"


@dataclass(frozen=True, slots=True)
class BootIdentity:
    """What differs from boot to boot."""

    boot_id: str
    kernel: str


def write_host(
    folder: Path, machine: MachineSettings, disks: Sequence[Path], boot: BootIdentity
) -> HostPaths:
    """Write the trees into a new folder and return where they are; there are one or two disks.

    A disk's node is a link to its file, whose name is not one that this host's kernel
    could have for a disk.
    """
    paths = HostPaths(folder / "sys", folder / "proc", folder / "dev", folder / "root")
    _write(
        folder,
        {
            "sys/class/dmi/id/product_uuid": machine.uuid,
            "sys/class/dmi/id/product_serial": machine.serial,
            "sys/class/dmi/id/sys_vendor": "Rackwright",
            "sys/class/dmi/id/product_name": "Simulated machine",
            "sys/devices/system/cpu/online": "0-1",
            "sys/class/net/nic0/type": "1",
            "sys/class/net/nic0/address": machine.mac,
            "sys/class/net/nic0/device/vendor": "0x1af4",
            "proc/meminfo": f"MemTotal:       {_MEMORY_KIB} kB",
            "proc/uptime": "1.00 1.00",
            "proc/sys/kernel/random/boot_id": boot.boot_id,
            "proc/sys/kernel/hostname": "(none)",
            "proc/sys/kernel/osrelease": boot.kernel,
        },
    )
    (folder / "sys/block").mkdir()
    paths.dev.mkdir()
    serials = (machine.serial, machine.serial + SECOND_SERIAL)
    for name, disk, serial in zip(_DISKS, disks, serials, strict=False):
        _write_disk(folder, name, disk, serial)
    return paths


def _write_disk(folder: Path, name: str, disk: Path, serial: str) -> None:
    block = f"sys/{_DISKS[name]}"
    _write(
        folder,
        {
            f"{block}/size": str(disk.stat().st_size // 512),
            f"{block}/queue/logical_block_size": "512",
            f"{block}/removable": "0",
            f"{block}/ro": "0",
            f"{block}/hidden": "0",
            f"{block}/serial": serial,
        },
    )
    (folder / "sys/block" / name).symlink_to(Path("..") / _DISKS[name])
    (folder / "dev" / name).symlink_to(disk.absolute())


def write_system(paths: HostPaths, hostname: str, machine_id: str, host_key: str) -> None:
    """Show an installed system with its identity."""
    _write(paths.proc, {"sys/kernel/hostname": hostname})
    _write(
        paths.root,
        {
            "etc/machine-id": machine_id,
            "etc/os-release": f'PRETTY_NAME="{SYSTEM_NAME}"',
            "etc/ssh/ssh_host_ed25519_key.pub": host_key,
        },
    )


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", "utf-8")
