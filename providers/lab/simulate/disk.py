"""What is on a simulated machine's disk, read from its bytes and written to them.

The golden disk has a GPT, an ext4 file system with files of random bytes, and a partition in
which a simulated identity is written as JSON; all zeros there is a system without an agent. A
disk boots when its boot sector, its table and the file system's magic number are there: a
restore that was cut off leaves one that does not.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.commands import sfdisk
from agent.imaging.device import Device, open_device
from agent.imaging.table import Slot, Table, TableError, read_table
from providers.lab.command import run
from providers.lab.golden.mke2fs import write_root
from providers.lab.golden.partition_table import SECTOR, Partition, sfdisk_script

MIB = 1 << 20
LEAST_SIZE = 8 * MIB
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_SECTORS = MIB // SECTOR
_ROOT, _RECORD = 1, 2
_MAGIC_AT, _MAGIC = 1024 + 56, b"\x53\xef"
"""ext4's magic number, from the beginning of its partition."""
_ROOT_UUID = "77000000-0000-4000-8000-00000000face"
_FILE_BYTES = MIB


@dataclass(frozen=True, slots=True)
class SimulatedSystem:
    """A system that boots from a disk. ``record`` is empty where it has no identity."""

    record: str


class NotBootableError(Exception):
    """There is nothing to boot on the disk; the text says what is missing."""


def make_blank(disk: Path, size: int) -> None:
    """Make a disk of zeros, which takes no room."""
    with disk.open("xb") as file:
        file.truncate(size)


def make_golden(disk: Path, size: int, seed: int) -> None:
    """Make a disk with a system on it, half filled; equal arguments give equal files on it.

    ``size`` is in bytes and at least ``LEAST_SIZE``. RW801, RW808, RW809.
    """
    make_blank(disk, size)
    root = Partition("root", _LINUX, _SECTORS, size // SECTOR // _SECTORS * _SECTORS - 3 * _SECTORS)
    record = Partition("identity", _LINUX, root.start + root.length, _SECTORS)
    run(
        sfdisk.write_arguments(disk),
        package="fdisk",
        standard_input=sfdisk_script("gpt", (root, record)),
        writes=disk,
    )
    source = random.Random(seed)  # noqa: S311 - bytes to fill a disk with
    with TemporaryDirectory(dir=disk.parent) as folder:
        tree = Path(folder)
        for number in range(max(1, root.length * SECTOR // 2 // _FILE_BYTES)):
            (tree / f"file-{number:04d}").write_bytes(source.randbytes(_FILE_BYTES))
        write_root(disk, root, _ROOT_UUID, tree)


def system_on(disk: Path) -> SimulatedSystem:
    """Return what boots from the disk; NotBootableError where nothing does."""
    with open_device(str(disk), exclusive=False) as device:
        table = _table(device)
        if table.kind != "gpt":
            raise NotBootableError("there is no partition table")
        root = _slot(table, _ROOT)
        if device.read(root.extent.offset + _MAGIC_AT, len(_MAGIC)) != _MAGIC:
            raise NotBootableError("there is no root file system")
        record = _slot(table, _RECORD)
        raw = device.read(record.extent.offset, record.extent.length).rstrip(b"\0")
    return SimulatedSystem(raw.decode("utf-8", "replace"))


def write_record(disk: Path, record: str) -> None:
    """Write a simulated identity to the disk. NotBootableError where no system is on it."""
    with open_device(str(disk), write=True) as device:
        place = _slot(_table(device), _RECORD).extent
        device.write_bytes(record.encode().ljust(place.length, b"\0"), place.offset)
        device.flush()


def _table(device: Device) -> Table:
    try:
        return read_table(device.read, device.size, device.sector_size)
    except TableError as error:
        raise NotBootableError(str(error)) from error


def _slot(table: Table, number: int) -> Slot:
    for slot in table.slots:
        if slot.number == number:
            return slot
    raise NotBootableError(f"there is no partition {number}")
