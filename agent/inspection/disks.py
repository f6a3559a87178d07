"""The machine's disks: identity from sysfs, content from sfdisk and blkid."""

import re
from pathlib import Path

from attrs import frozen

from agent.commands.blkid import Signature, probe
from agent.commands.sfdisk import PartitionTable, TableEntry, read_table
from agent.errors import CodedError
from agent.inspection.hardware_path import hardware_path
from agent.inspection.host_paths import HostPaths, read_line, read_number
from agent.wire.disk import Disk, DiskIdentity, Partition

_KERNEL_SECTOR = 512  # of /sys/block/*/size, whatever the disk's own sectors are
_NO_DISK = re.compile(r"(loop|ram|zram|dm-|sr|fd|md|nbd|mtdblock)\d.*|mmcblk\d+(boot\d+|rpmb)")
_LASTING_ID = re.compile(r"(naa|eui|uuid|nvme)\.\S+")
_EXTENDED = frozenset({"0x05", "0x0f", "0x85"})
_HEAD_BYTES = 1024 * 1024


@frozen
class DiskInspection:
    """All disks in the order of their kernel names, and what could not be read."""

    disks: tuple[Disk, ...]
    problems: tuple[str, ...]


def inspect_disks(paths: HostPaths) -> DiskInspection:
    """Return all disks of the machine; what fails on one disk is a problem, not an error."""
    problems: list[str] = []
    blocks = sorted((paths.sysfs / "block").glob("*"), key=lambda path: path.name)
    disks = tuple(
        _inspect_disk(block, paths.dev / block.name, problems)
        for block in blocks
        if not _NO_DISK.fullmatch(block.name) and read_line(block / "hidden") != "1"
    )
    return DiskInspection(disks, tuple(problems))


def _inspect_disk(block: Path, node: Path, problems: list[str]) -> Disk:
    size = read_number(block / "size") * _KERNEL_SECTOR
    sector = read_number(block / "queue/logical_block_size") or _KERNEL_SECTOR
    path = hardware_path(block)
    table, holds = PartitionTable(), "no medium"
    partitions: tuple[Partition, ...] = ()
    if size:
        try:
            table = read_table(node, sector)
            partitions = tuple(_partition(node, entry, table, problems) for entry in table.entries)
            holds = summary(table, partitions) or _whole_disk(node, size)
        except (CodedError, OSError) as error:
            problems.append(f"{node}: {error}")
            holds = "unreadable"
    return Disk(
        identity=DiskIdentity(_lasting_id(block), _serial(block), path, size),
        node=str(node),
        model=_model(block),
        sector_size=sector,
        table=table.label,
        removable=read_line(block / "removable") == "1" or "-usb-" in path,
        read_only=read_line(block / "ro") == "1",
        partitions=partitions,
        holds=holds,
    )


def _lasting_id(block: Path) -> str:
    """Return the World Wide Name or NVMe identifier, as the kernel writes it.

    The kernel falls back to vendor and serial (``t10.``), which is no identifier that
    a standard makes unique; the serial says the same.
    """
    for name in ("wwid", "device/wwid"):
        text = read_line(block / name)
        if _LASTING_ID.fullmatch(text):
            return text
    return ""


def _serial(block: Path) -> str:
    """Return the serial number: NVMe and MMC, virtio, or SCSI's unit serial number page."""
    text = read_line(block / "device/serial") or read_line(block / "serial")
    if text:
        return text
    try:
        page = (block / "device/vpd_pg80").read_bytes()
    except OSError:
        return ""
    # SPC-4, 7.8.15: a header of four bytes, then the serial in ASCII, often padded.
    return page[4:].decode("ascii", "replace").strip("\0 ")


def _model(block: Path) -> str:
    """Return vendor and model; ``ATA`` is what the kernel calls every SATA disk's vendor."""
    vendor = read_line(block / "device/vendor")
    model = read_line(block / "device/model") or read_line(block / "device/name")
    if not model or vendor == "ATA" or vendor.startswith("0x"):
        return model
    return f"{vendor} {model}".strip()


def _partition(
    node: Path, entry: TableEntry, table: PartitionTable, problems: list[str]
) -> Partition:
    extended = table.label == "mbr" and entry.type in _EXTENDED
    content = Signature() if extended else probe(node, entry.start, entry.size)
    if content.ambivalent:
        problems.append(f"{node} partition {entry.number}: signatures of several file systems")
    return Partition(
        number=entry.number,
        start=entry.start,
        size=entry.size,
        type=entry.type,
        uuid=entry.uuid,
        filesystem=content.filesystem,
        label=content.label,
    )


def summary(table: PartitionTable, partitions: tuple[Partition, ...]) -> str:
    """Return ``gpt, 2 partitions: vfat, ext4``, empty for a disk without a table."""
    if not table.label:
        return ""
    if not partitions:
        return f"{table.label}, no partitions"
    count = "1 partition" if len(partitions) == 1 else f"{len(partitions)} partitions"
    contents = ", ".join(part.content for part in partitions)
    return f"{table.label}, {count}: {contents}"


def _whole_disk(node: Path, size: int) -> str:
    content = probe(node, 0, size)
    if content.filesystem:
        return f"{content.filesystem} on the whole disk"
    with node.open("rb") as device:
        head = device.read(min(size, _HEAD_BYTES))
    return "unknown data" if any(head) else "blank"
