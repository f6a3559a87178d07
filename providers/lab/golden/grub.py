"""GRUB: its configuration, its BIOS core image, and the blocks that start it.

grub-install and grub-bios-setup want a block device and probe the file systems of
the host. What they write is small and fixed (``grub-core/boot/i386/pc/boot.S`` and
``diskboot.S``), so it is written here, into a file that no kernel knows as a disk.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from providers.lab.command import run
from providers.lab.errors import firmware_missing
from providers.lab.golden.partition_table import SECTOR

BIOS_DIRECTORY = Path("/usr/lib/grub/i386-pc")
_BIOS_PACKAGE = "grub-pc-bin"
_CORE_MODULES = (
    "biosdisk",
    "configfile",
    "ext2",
    "linux",
    "normal",
    "part_gpt",
    "part_msdos",
    "search",
    "search_fs_uuid",
)

_PARAMETER_BLOCK = slice(0x03, 0x5A)  # the BIOS parameter block's place, kept from the disk
_CORE_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_PARTITION_AREA = slice(0x1B8, 0x1FE)  # disk signature and partition entries, kept too
_FIRST_BLOCK_LIST = 0x1F4
_NO_OPERATION = b"\x90\x90"


def menu(root_uuid: str) -> str:
    """Return ``/boot/grub/grub.cfg``: one entry, no waiting.

    The kernel goes by Debian's links in the root directory, which the kernel's packages
    keep, so that an upgrade needs no new menu.
    """
    return f"""\
set timeout=0
set default=0
menuentry "Debian GNU/Linux 12" {{
    search --no-floppy --fs-uuid --set=root {root_uuid}
    linux /vmlinuz root=UUID={root_uuid} ro console=tty0 console=ttyS0,115200n8
    initrd /initrd.img
}}
"""


def finder(root_uuid: str) -> str:
    """Return the configuration that leads to the menu: in the core image and on the ESP."""
    return f"""\
search --no-floppy --fs-uuid --set=root {root_uuid}
set prefix=($root)/boot/grub
"""


def boot_sector(boot_image: bytes, old_sector: bytes, core_start: int) -> bytes:
    """Return the disk's first sector: GRUB's ``boot.img`` over what the disk keeps of its own.

    ``core_start`` is the sector of the core image. The jump of the drive check is made
    a no-operation, as grub-bios-setup does on hard disks, for firmware that passes a
    wrong drive number.
    """
    sector = bytearray(boot_image[:SECTOR])
    sector[_PARAMETER_BLOCK] = old_sector[_PARAMETER_BLOCK]
    sector[_PARTITION_AREA] = old_sector[_PARTITION_AREA]
    struct.pack_into("<Q", sector, _CORE_SECTOR, core_start)
    sector[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _NO_OPERATION
    return bytes(sector)


def located_core(core_image: bytes, core_start: int) -> bytes:
    """Return the core image knowing where the rest of it lies: right after its first sector.

    Only the start of the first block list entry is filled in; grub-mkimage wrote the
    length and the memory segment.
    """
    core = bytearray(core_image)
    struct.pack_into("<Q", core, _FIRST_BLOCK_LIST, core_start + 1)
    return bytes(core)


def make_core(scratch: Path, root_uuid: str, modules: Sequence[str] = ()) -> bytes:
    """Return a BIOS core image that finds the root by its UUID. RW801, RW809.

    ``scratch`` is a directory for its files; ``modules`` are GRUB's that finding it takes, beside
    those for partitions and ext4.
    """
    if not (BIOS_DIRECTORY / "boot.img").exists():
        raise firmware_missing(BIOS_DIRECTORY / "boot.img", _BIOS_PACKAGE)
    configuration = scratch / "core.cfg"
    configuration.write_text(finder(root_uuid) + "normal\n")
    core = scratch / "core.img"
    run(
        [
            *("grub-mkimage", "--format=i386-pc", "--prefix=/boot/grub"),
            *(f"--directory={BIOS_DIRECTORY}", f"--config={configuration}", f"--output={core}"),
            *_CORE_MODULES,
            *modules,
        ],
        package="grub-common",
    )
    return core.read_bytes()


def write_bios_boot(disk: Path, core: bytes, core_start: int, core_limit: int) -> None:
    """Make a disk file bootable by BIOS: core image and first sector.

    ``core_limit`` is how many sectors are reserved for the core image.
    """
    needed = -(-len(core) // SECTOR)
    if needed > core_limit:
        raise ValueError(f"the GRUB core image has {needed} sectors, the gap {core_limit}")
    with disk.open("r+b") as device:
        old_sector = device.read(SECTOR)
        device.seek(core_start * SECTOR)
        device.write(located_core(core, core_start))
        device.seek(0)
        device.write(
            boot_sector((BIOS_DIRECTORY / "boot.img").read_bytes(), old_sector, core_start)
        )
