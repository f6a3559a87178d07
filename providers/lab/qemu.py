"""QEMU: one machine of the rack as a command line."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.lab.accelerator import Accelerator
from providers.lab.directory import MachineFiles
from providers.lab.errors import program_missing
from providers.lab.firmware import FlashImages
from providers.lab.rack import Disk, DiskBus, Machine

PROGRAM = "qemu-system-x86_64"
_PACKAGE = "qemu-system-x86"
_MIB = 1 << 20
_REBOOT_AFTER_MILLISECONDS = 5000
_IPV6_SWITCHES = ("IPv6Support", "IPv6PXESupport")  # for HTTP Boot and for PXE

_EMULATED_PROCESSOR = "qemu64,-svm"
"""The oldest 64-bit model, because it is the fastest one to emulate: SSE2 is translated to
host vectors, while programs that find AVX2 or SSE4 use instructions that QEMU runs by calling
a function for each. Measured in a guest, MB/s: BLAKE3 64 to 100 (qemu64), 40 (Nehalem), 30
(max); SHA-256 37, 30, 11; zstd level 1 190, 97, 98. Without SVM, which is off so that guests do
not load a hypervisor."""

# A host without space becomes a write error in the guest, where QEMU would stop it for ever.
_DISK_DEVICES: Mapping[DiskBus, Sequence[str]] = {
    "virtio": ("virtio-blk-pci,werror=report",),
    "scsi": ("virtio-scsi-pci", "scsi-hd,werror=report"),
    "nvme": ("nvme",),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What the rack gives to a machine when it is powered on."""

    accelerator: Accelerator
    tap: str
    """Its port of the bridge."""
    monitor: int
    """An open descriptor that speaks QMP."""


def require_qemu() -> None:
    """Check that QEMU is installed; RW801."""
    if shutil.which(PROGRAM) is None:
        raise program_missing(PROGRAM, _PACKAGE)


def arguments(
    machine: Machine, files: MachineFiles, flash: FlashImages | None, place: Place
) -> list[str]:
    """Return the command line that runs ``machine`` until it is powered off.

    The kernel kills QEMU when its parent dies.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL", "--", PROGRAM),
        *("-name", machine.name, "-nodefaults", "-no-user-config"),
        *_board(machine, place.accelerator),
        *_flash(machine, files, flash),
        *("-display", "none", "-vga", "std"),
        *("-chardev", f"file,id=console,path={_escaped(str(files.console))}"),
        *("-serial", "chardev:console"),
        *(
            "-chardev",
            f"socket,id=monitor,fd={place.monitor}",
            "-mon",
            "chardev=monitor,mode=control",
        ),
        *("-device", "virtio-rng-pci"),
        *_disks(machine, files),
        *_nic(machine, place.tap),
        *_boot(machine),
    ]


def _board(machine: Machine, accelerator: Accelerator) -> list[str]:
    secure = machine.firmware == "uefi-secure-boot"
    # graphics=off leads SeaBIOS and what it boots to the serial console.
    board = "q35,graphics=off,smm=on" if secure else "q35,graphics=off,smm=off"
    # Entering system management mode stops all processors; emulated in threads of their own
    # they wait for one another, and firmware with Secure Boot takes 20 s instead of 7.
    threads = "single" if secure else "multi"
    emulation = f"tcg,thread={threads}"
    return [
        *("-machine", board),
        *("-accel", "kvm" if accelerator == "kvm" else emulation),
        *("-cpu", "host" if accelerator == "kvm" else _EMULATED_PROCESSOR),
        *("-smp", str(machine.cpus), "-m", f"{machine.memory.bytes // _MIB}M"),
        *("-uuid", machine.uuid, "-rtc", "base=utc"),
    ]


def _flash(machine: Machine, files: MachineFiles, flash: FlashImages | None) -> list[str]:
    if flash is None:
        return []
    code, variables = _escaped(str(flash.code)), _escaped(str(files.variables))
    drives = [
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
        *("-global", "ICH9-LPC.disable_s3=1"),
    ]
    if machine.firmware == "uefi-secure-boot":
        # Only code in system management mode writes variables, so no guest forges its keys.
        drives += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    return drives


def _disks(machine: Machine, files: MachineFiles) -> Iterator[str]:
    places = files.disks(len(machine.disks))
    for number, (disk, place) in enumerate(zip(machine.disks, places, strict=True)):
        yield from _disk(number, disk, place.content)


def _disk(number: int, disk: Disk, content: Path) -> list[str]:
    image = {
        "driver": "raw",
        "node-name": f"image{number}",
        "discard": "unmap",
        "cache": {"no-flush": True},  # a killed QEMU loses nothing; only a dead host would
        "file": {"driver": "file", "filename": str(content), "discard": "unmap"},
    }
    *controllers, device = _DISK_DEVICES[disk.bus]
    boots = ",bootindex=2" if number == 0 else ""
    attached = f"{device},id=disk{number},drive=image{number},serial={disk.serial}{boots}"
    return [
        *("-blockdev", json.dumps(image)),
        *(part for controller in controllers for part in ("-device", controller)),
        *("-device", attached),
    ]


def _nic(machine: Machine, tap: str) -> list[str]:
    # A BIOS machine boots by the NIC's own iPXE. Without it UEFI uses its built-in client,
    # which is what a board without iPXE has.
    rom = "" if machine.firmware == "bios" else ",romfile="
    return [
        *("-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net0,mac={machine.mac},bootindex=1{rom}"),
    ]


def _boot(machine: Machine) -> list[str]:
    if machine.firmware != "bios":
        # Nothing in a rack answers IPv6, and OVMF waits two minutes to find that out. The
        # minute each of PXE and HTTP Boot over IPv4, where no DHCP server answers, is fixed in it.
        switches = (f"name=opt/org.tianocore/{name},string=n" for name in _IPV6_SWITCHES)
        return ["-boot", "strict=on", *(part for each in switches for part in ("-fw_cfg", each))]
    return ["-boot", f"strict=on,reboot-timeout={_REBOOT_AFTER_MILLISECONDS}"]


def _escaped(value: str) -> str:
    """Return a value for QEMU's option lists, in which a comma is doubled."""
    return value.replace(",", ",,")
