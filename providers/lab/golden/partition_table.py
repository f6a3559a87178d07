"""Where things lie on a golden disk, and sfdisk to write that down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.commands import sfdisk
from providers.lab.command import run

SECTOR = 512
_MIB = 2048  # sectors
_GPT_TAIL = 34  # sectors: the backup header and entries, rounded up like the head
_ESP_MIB = 64  # FAT32 needs 33 MiB, and two boot loaders 5
_BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
_ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LINUX_GPT_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_LINUX_MBR_TYPE = "83"

TableKind = Literal["gpt", "mbr"]


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry, in sectors of 512 bytes."""

    name: str
    type_code: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A golden disk. ``esp`` is None where only a BIOS can boot it."""

    table: TableKind
    boot_code_start: int
    """Sector where GRUB's core image goes."""
    boot_code_length: int
    esp: Partition | None
    root: Partition
    partitions: tuple[Partition, ...]


def layout(table: TableKind, disk_bytes: int) -> Layout:
    """Return the layout for a disk of this size; partitions start at whole MiB.

    ``gpt`` is what a machine boots by BIOS and by UEFI: a BIOS boot partition, an ESP
    and the root. ``mbr`` is one partition, with GRUB in the gap before it.
    """
    if table == "mbr":
        length = disk_bytes // SECTOR // _MIB * _MIB - _MIB
        root = Partition("root", _LINUX_MBR_TYPE, _MIB, length)
        return Layout("mbr", 1, _MIB - 1, None, root, (root,))
    bios_boot = Partition("bios-boot", _BIOS_BOOT_TYPE, _MIB, _MIB)
    esp = Partition("esp", _ESP_TYPE, 2 * _MIB, _ESP_MIB * _MIB)
    start = esp.start + esp.length
    end = (disk_bytes // SECTOR - _GPT_TAIL) // _MIB * _MIB
    root = Partition("root", _LINUX_GPT_TYPE, start, end - start)
    return Layout("gpt", bios_boot.start, bios_boot.length, esp, root, (bios_boot, esp, root))


def sfdisk_script(table: TableKind, partitions: Sequence[Partition]) -> str:
    """Return the table in the words of sfdisk(8)."""
    lines = [f"label: {'gpt' if table == 'gpt' else 'dos'}", "unit: sectors"]
    for partition in partitions:
        fields = [
            f"start={partition.start}",
            f"size={partition.length}",
            f"type={partition.type_code}",
            f'name="{partition.name}"' if table == "gpt" else "bootable",
        ]
        lines.append(", ".join(fields))
    return "\n".join(lines) + "\n"


def write_table(disk: Path, plan: Layout) -> None:
    """Write the partition table to a disk file. RW801, RW809."""
    run(
        sfdisk.write_arguments(disk),
        package="fdisk",
        standard_input=sfdisk_script(plan.table, plan.partitions),
        writes=disk,
    )
