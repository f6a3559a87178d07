"""What is used on a disk, and why: the part of a capture before any chunk is read."""

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from agent.commands import blkid, losetup, partclone
from agent.commands.partclone import MapRefusedError
from agent.errors import CommandError
from agent.imaging import btrfs, exfat, ext, f2fs, fat, lvm, ntfs, xfs
from agent.imaging.device import Device, open_device
from agent.imaging.disagreement import disagreement, several
from agent.imaging.efivarfs import read_entries
from agent.imaging.errors import (
    DiskFailureError,
    RefusedDiskError,
    TooManyBadSectorsError,
    UnreadableSectorError,
)
from agent.imaging.extent import (
    Extent,
    aligned,
    between,
    clipped,
    holes,
    located,
    merged,
    total,
)
from agent.imaging.gpt import BIOS_BOOT_TYPE, ESP_TYPE
from agent.imaging.losses import Part, title_of
from agent.imaging.manifest import (
    OMITTED,
    BootEntry,
    Firmware,
    ImagedPartition,
    LogicalVolume,
    Manifest,
)
from agent.imaging.occupancy import partition_node
from agent.imaging.partition_choice import refuse_choice, split_lvm
from agent.imaging.pieces import PiecesError, composed
from agent.imaging.recognition import DISK_END, label_is_lost, readable_label, seen_beside
from agent.imaging.sparse import copy_range
from agent.imaging.table import MBR_ESP_TYPE, Reader, Region, Slot, Table, TableError, read_table
from agent.inspection.host_paths import HostPaths
from agent.inspection.kernel_partitions import kernel_partitions

EDGE = 1 << 20
"""Bytes kept at both ends of every mapped partition, whatever the map says.

Signatures of earlier uses (md, LVM, ZFS, the NTFS backup boot sector) live there.
Restored over a disk that still carries one, an image without its edges would not
be recognised.
"""

ASKED_FOR = "every sector was asked for"

DAMAGED_TABLE = "the partition table is damaged"
LOST_MAP = "sectors that say what is used in it cannot be read"
LOST_LABEL = "a sector that may say what it holds cannot be read"
LOST_DISK_LABEL = "a sector at the disk's end that may say what the disk is cannot be read"
LOST_FIRST = "its first sector, which says what is on it,"

WHOLE_GAP = 16 << 20
"""Bytes up to which unpartitioned space is kept whole: boot loaders live in it."""

SWAP_HEADER = 64 << 10
"""Bytes kept of a swap area: its header takes one page, at most 64 KiB."""

_KEPT_WHOLE = {
    "crypto_LUKS": "LUKS encryption: the container is kept whole",
    "linux_raid_member": "a member of a Linux software RAID: kept whole",
}
"""What has its own reason to be kept whole, as blkid names it."""

_UNSUPPORTED_REASON: dict[str, Callable[[Reader], str]] = {
    "ext2": ext.unsupported_reason,
    "ext3": ext.unsupported_reason,
    "ext4": ext.unsupported_reason,
    "xfs": xfs.unsupported_reason,
    "ntfs": ntfs.unsupported_reason,
}

_USED_BYTES: dict[str, Callable[[Reader, int], int]] = {
    "ext2": ext.used_bytes,
    "ext3": ext.used_bytes,
    "ext4": ext.used_bytes,
    "ntfs": ntfs.used_bytes,
    "xfs": xfs.used_bytes,
}
"""What the file system itself says is used, in bytes: partclone's map may not have less."""

_OWN_MAP: dict[str, Callable[[Reader, int], tuple[Extent, ...]]] = {
    "btrfs": btrfs.used,
    "exfat": exfat.used,
    "f2fs": f2fs.used,
    "vfat": fat.used,
}
"""File systems whose used extents are read here and not by partclone."""

_BOOT_CODE = slice(0, 440)


def scan(device: Device, *, full: bool = False, chosen: Collection[int] = frozenset()) -> Manifest:
    """Return the image of an open disk without its digests; reads only.

    What cannot be mapped safely is kept in full, with the reason in its
    partition; with ``full`` all is. ``chosen`` are the numbers of the partitions to keep; all
    where it is empty. Of unreadable sectors that the device skips, those of the
    partition table count as zeros, and what is used is never said by zeros. Raises
    RefusedDiskError (RW428) where the partitions cannot be told apart, DiskFailureError,
    CommandError, and what the device's ``bad_sectors`` raises.
    """
    table, problem = _table(device)
    if chosen:
        refuse_choice(device.node, table, problem, chosen)
    slots = table.slots if table.kind != "none" else (_whole(device),)
    omitted = [slot for slot in slots if chosen and slot.number not in chosen]
    slots = tuple(slot for slot in slots if slot not in omitted)
    volumes: list[tuple[LogicalVolume, tuple[Extent, ...]]] = []
    if problem:
        scanned = [_with_disk(device, slot, problem) for slot in slots]
    elif full:
        scanned = [_asked_for(device, slot) for slot in slots]
        formats = [partition.filesystem for partition, _ in scanned]
        layout = _lvm_layout(device, zip(slots, formats, strict=True))
        volumes = [_logical_volume(device, volume, full=True) for volume in layout.volumes]
    else:
        found = [
            (slot, _probe(device, slot.extent))
            for slot in slots
            if not label_is_lost(device, (slot.extent,))
        ]
        # Where a place cannot be read that any format may have, blkid recognises nothing.
        found = [each for each in found if _is_all_seen(device, *each)]
        lost = [slot for slot in slots if slot not in [seen for seen, _ in found]]
        layout = _lvm_layout(device, _formats(found))
        scanned = [_volume(device, slot, signature, layout) for slot, signature in found]
        scanned += [_full(slot, LOST_LABEL, readable_label(device, slot.extent)) for slot in lost]
        scanned.sort(key=lambda each: each[0].start)
        volumes = [_logical_volume(device, volume) for volume in layout.volumes]
    partitions = [
        *(partition for partition, _ in scanned),
        *(_partition(slot, _probe(device, slot.extent), OMITTED, "") for slot in omitted),
    ]
    kept = [
        *(region.extent for region in table.regions),
        *kept_gaps([slot.extent for slot in table.slots], device.size),
    ]
    if problem or (full and not omitted):
        kept = [Extent(0, device.size)]
    elif table.kind == "none":
        kept = [table.regions[0].extent]
    used = aligned(
        (*kept, *(extent for _, extents in (*scanned, *volumes) for extent in extents)),
        device.sector_size,
        device.size,
    )
    return Manifest(
        disk_size=device.size,
        sector_size=device.sector_size,
        table=table.kind,
        firmware=_firmware(table),
        regions=table.regions,
        partitions=_in_order(device, partitions, chosen),
        used=used,
        digests=b"",
        volumes=tuple(volume for volume, _ in volumes),
    )


def _in_order(
    device: Device, partitions: Iterable[ImagedPartition], chosen: Collection[int]
) -> tuple[ImagedPartition, ...]:
    """Return the partitions in disk order; RefusedDiskError (RW428) where LVM is kept in part."""
    ordered = tuple(sorted(partitions, key=lambda partition: partition.start))
    if chosen and (split := split_lvm(ordered, chosen)):
        raise RefusedDiskError(
            "RW428", f"{device.node} has LVM on {split}", "Name all of them, or none"
        )
    return ordered


def table_problem(device: Device) -> str:
    """Return why the partitions of a disk are not relied on, empty where they are."""
    return _table(device)[1]


def parts_on(device: Device) -> tuple[Part, ...] | None:
    """Return the disk's volumes and partitions, for a message alone; None where that fails.

    Bad sectors are a failure from now on.
    """
    device.bad_sectors = None
    try:
        return file_systems_on(device)
    except (TableError, DiskFailureError, CommandError, OSError):
        return None


def file_systems_on(device: Device, chosen: Collection[int] = frozenset()) -> tuple[Part, ...]:
    """Return the disk's volumes and partitions with what is recognised in each.

    ``chosen`` are the numbers of partitions; all where it is empty. Of a volume in several pieces,
    nothing is recognised. Raises TableError, DiskFailureError, CommandError
    and OSError.
    """
    table = read_table(device.read, device.size, device.sector_size)
    slots = table.slots if table.kind != "none" else (_whole(device),)
    slots = tuple(slot for slot in slots if not chosen or slot.number in chosen)
    found = [(slot, _probe(device, slot.extent)) for slot in slots]
    volumes = [
        Part(f"volume {each.group}/{each.name}", _filesystem_of(device, each), each.extents)
        for each in _lvm_layout(device, _formats(found)).volumes
        if each.extents
    ]
    partitions = [
        Part(title_of(slot.number), signature.filesystem, (slot.extent,))
        for slot, signature in found
    ]
    return (*volumes, *partitions)


def _filesystem_of(device: Device, volume: lvm.Volume) -> str:
    return _probe(device, volume.extents[0]).filesystem if len(volume.extents) == 1 else ""


def kept_gaps(slots: Iterable[Extent], size: int) -> tuple[Extent, ...]:
    """Return what is kept of the space between partitions, in a disk of ``size`` bytes.

    Small gaps are kept whole; of a large one its ends, and more of the disk's
    head, where boot loaders of many boards lie.
    """
    kept = []
    for gap in holes(merged(slots), Extent(0, size)):
        if gap.length <= WHOLE_GAP:
            kept.append(gap)
        else:
            head = WHOLE_GAP if gap.offset == 0 else EDGE
            kept += (Extent(gap.offset, head), between(gap.end - EDGE, gap.end))
    return merged(kept)


def kept_of_map(used: Iterable[Extent], size: int) -> tuple[Extent, ...]:
    """Return what is kept of a mapped partition: what is used, and its edges."""
    edge = min(EDGE, size)
    return merged((*used, Extent(0, edge), between(size - edge, size)))


def _table(device: Device) -> tuple[Table, str]:
    """Return the partition table, and why the whole disk is to be kept whatever it says."""
    first = device.read_marked(0, device.sector_size)
    if device.bad_sectors is not None and device.bad_sectors.meets(Extent(0, device.sector_size)):
        raise TooManyBadSectorsError(device.node, LOST_FIRST)
    none = Table("none", (), (Region("boot-sector", 0, first),))
    try:
        table = read_table(device.read_marked, device.size, device.sector_size)
    except TableError as error:
        return none, f"{DAMAGED_TABLE}: {error}"
    if table.slots and label_is_lost(device, (Extent(0, device.size),), device.size - DISK_END):
        return table, LOST_DISK_LABEL
    node = Path(device.node)
    found = seen_beside(device, blkid.probe(node, 0, device.size), table.kind)
    block = HostPaths().sysfs / "class/block" / node.resolve().name
    # A file may be called as a device is.
    shown = [Extent(*place) for place in kernel_partitions(block)] if device.block else []
    problem = disagreement(table, found, shown)
    return (table if table.slots or not problem else none), problem


def _with_disk(
    device: Device, slot: Slot, problem: str
) -> tuple[ImagedPartition, tuple[Extent, ...]]:
    """Return a partition of a disk that is kept in full.

    Where the disk loses sectors, what is recognised in it is named: its checker is asked then.
    """
    if problem.startswith(DAMAGED_TABLE) or not _skips(device):
        return _full(slot, problem)
    found = readable_label(device, slot.extent)
    is_lost = not found.filesystem and label_is_lost(device, (slot.extent,))
    return _full(slot, LOST_LABEL if is_lost else problem, found)


def _asked_for(device: Device, slot: Slot) -> tuple[ImagedPartition, tuple[Extent, ...]]:
    """Return a partition of which every sector is kept, with what is recognised in it."""
    is_lost = label_is_lost(device, (slot.extent,))
    found = blkid.Signature() if is_lost else _probe(device, slot.extent)
    if device.bad_sectors is not None and not (found.filesystem or found.several):
        found = readable_label(device, slot.extent)
    return _full(slot, LOST_LABEL if is_lost and not found.filesystem else ASKED_FOR, found)


def _is_all_seen(device: Device, slot: Slot, found: blkid.Signature) -> bool:
    nothing = not (found.filesystem or found.several)
    return not (nothing and readable_label(device, slot.extent).filesystem)


def _whole(device: Device) -> Slot:
    return Slot(0, Extent(0, device.size), "", "")


def _probe(device: Device, extent: Extent) -> blkid.Signature:
    return blkid.probe(Path(device.node), extent.offset, extent.length)


def _formats(found: Iterable[tuple[Slot, blkid.Signature]]) -> Iterator[tuple[Slot, str]]:
    for slot, signature in found:
        yield slot, "" if signature.several else signature.filesystem


def _lvm_layout(device: Device, formats: Iterable[tuple[Slot, str]]) -> lvm.Layout:
    physical = [slot.extent for slot, name in formats if name == lvm.SIGNATURE]
    try:
        return lvm.read_layout(device.read, physical)
    except UnreadableSectorError:
        if not _skips(device):
            raise
        return lvm.Layout({}, dict.fromkeys(physical, LOST_MAP), ())


def _skips(device: Device) -> bool:
    return device.bad_sectors is not None and device.bad_sectors.skip


def _volume(
    device: Device, slot: Slot, found: blkid.Signature, layout: lvm.Layout
) -> tuple[ImagedPartition, tuple[Extent, ...]]:
    """Return a partition and what is kept of it, without what its logical volumes hold."""
    if kept := layout.kept.get(slot.extent):
        edges = kept_of_map((), slot.extent.length)
        kept = (*kept, *located((slot.extent,), edges))
        return _partition(slot, found, "used-blocks", ""), kept
    if problem := layout.problems.get(slot.extent):
        return _full(slot, problem, found)
    try:
        used = _used(device, slot, found)
    except MapRefusedError as error:
        return _full(slot, str(error), found)
    except UnreadableSectorError:
        if not _skips(device):
            raise
        return _full(slot, LOST_MAP, found)
    start = slot.extent.offset
    partition = _partition(slot, found, "used-blocks", "")
    return partition, tuple(Extent(start + extent.offset, extent.length) for extent in used)


def _logical_volume(
    device: Device, volume: lvm.Volume, *, full: bool = False
) -> tuple[LogicalVolume, tuple[Extent, ...]]:
    """Return a volume and where on the disk lies what is kept of it; with ``full`` that is all."""
    found, reason = blkid.Signature(), volume.reason
    kept: Iterable[Extent] = volume.extents
    if not reason and label_is_lost(device, volume.extents):
        reason = LOST_LABEL
    if not reason:
        try:
            with _space(device, volume.extents) as (space, extent):
                found = _probe(space, extent)
                if full:
                    reason = ASKED_FOR
                else:
                    used = _used(space, Slot(0, extent, "", ""), found)
                    kept = located(volume.extents, used)
        except MapRefusedError as error:
            reason = str(error)
        except (UnreadableSectorError, DiskFailureError):  # what is put together has no bad sectors
            if device.bad_sectors is None:
                raise
            found, reason = blkid.Signature(), LOST_MAP
    logical = LogicalVolume(
        group=volume.group,
        name=volume.name,
        uuid=volume.uuid,
        filesystem=found.filesystem,
        label=found.label,
        method="full-sector" if reason else "used-blocks",
        reason=reason,
        extents=volume.extents,
    )
    return logical, tuple(kept)


@contextmanager
def _space(device: Device, pieces: Sequence[Extent]) -> Iterator[tuple[Device, Extent]]:
    """Provide what consists of pieces of a disk as a range of a device.

    One piece is a range of the disk itself. Several are put together by
    device-mapper, or copied where that is possible. Raises MapRefusedError.
    """
    if len(pieces) == 1:
        yield device, pieces[0]
        return
    with ExitStack() as stack:
        whole = composed(Path(device.node), device.size, device.sector_size, pieces)
        try:
            path = stack.enter_context(whole)
        except PiecesError as error:
            raise MapRefusedError(str(error)) from error
        opened = open_device(str(path), exclusive=False, sector_size=device.sector_size)
        space = stack.enter_context(opened)
        if space.size != total(pieces):
            raise MapRefusedError("it is no whole number of the disk's sectors")
        yield space, Extent(0, space.size)


def _used(device: Device, slot: Slot, found: blkid.Signature) -> tuple[Extent, ...]:
    """Return the used extents relative to the range, or raise MapRefusedError."""
    if found.filesystem == "swap":
        return (Extent(0, min(SWAP_HEADER, slot.extent.length)),)
    if refusal := unmapped(found, slot.type):
        raise MapRefusedError(refusal)
    read = partial(read_inside, device, slot.extent)
    if own_map := _OWN_MAP.get(found.filesystem):
        return kept_of_map(own_map(read, slot.extent.length), slot.extent.length)
    if check := _UNSUPPORTED_REASON.get(found.filesystem):
        reason = check(read)
        if reason:
            raise MapRefusedError(reason)
    with source_of(device, slot.extent) as source:
        places = partclone.domain_map(found.filesystem, source, slot.extent.length)
    used = [Extent(*place) for place in places]
    mapped, counted = total(used), _USED_BYTES[found.filesystem](read, slot.extent.length)
    if mapped < counted:
        raise MapRefusedError(f"its map has {mapped} used bytes, but it says {counted}")
    return kept_of_map(used, slot.extent.length)


def unmapped(found: blkid.Signature, partition_type: str) -> str:
    """Return why there is no map for what was found, empty where there is one."""
    if found.several:
        return several(found)
    if found.filesystem in partclone.PROGRAMS or found.filesystem in _OWN_MAP:
        return ""
    if reason := _KEPT_WHOLE.get(found.filesystem):
        return reason
    if found.filesystem == "swsuspend":
        return "it holds a hibernated system (swsuspend)"
    if found.filesystem:
        return f"there is no map of used blocks for {found.filesystem}"
    if found.table:
        return f"it holds a partition table of its own ({found.table})"
    if partition_type == BIOS_BOOT_TYPE:
        return "it holds boot code and no file system"
    return "no file system was recognised"


def read_inside(device: Device, window: Extent, offset: int, length: int) -> bytes:
    """Read relative to a partition; what lies behind its end reads as zeros."""
    inside = list(clipped((window,), Extent(window.offset + offset, length)))
    data = device.read(inside[0].offset, inside[0].length) if inside and offset >= 0 else b""
    return data.ljust(length, b"\0")


@contextmanager
def source_of(device: Device, extent: Extent) -> Iterator[Path]:
    """Provide a partition as a path of its own, which programs for file systems need.

    The kernel's node where it has one; else a loop device; else, for a disk that
    is a regular file on a machine without the right to loop devices, a sparse copy.
    """
    if extent == Extent(0, device.size):
        yield Path(device.node)
        return
    node = partition_node(device.node, extent.offset, extent.length)
    if node:
        yield Path(node)
        return
    with ExitStack() as stack:
        try:
            loop = losetup.attached(
                Path(device.node), extent.offset, extent.length, device.sector_size, write=False
            )
            source = stack.enter_context(loop)
        except CommandError as error:
            if device.block:
                reason = f"the kernel shows no device for it, losetup failed: {error.words}"
                raise MapRefusedError(reason) from error
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            copy = Path(folder) / "partition"
            copy_range(Path(device.node), extent.offset, extent.length, copy)
            source = copy
        yield source


def _full(
    slot: Slot, reason: str, found: blkid.Signature | None = None
) -> tuple[ImagedPartition, tuple[Extent, ...]]:
    signature = found or blkid.Signature()
    return _partition(slot, signature, "full-sector", reason), (slot.extent,)


def _partition(slot: Slot, found: blkid.Signature, method: str, reason: str) -> ImagedPartition:
    return ImagedPartition(
        number=slot.number,
        start=slot.extent.offset,
        size=slot.extent.length,
        type=slot.type,
        uuid=slot.uuid,
        filesystem=found.filesystem,
        label=found.label,
        method=method,
        reason=reason,
    )


def _firmware(table: Table) -> Firmware:
    types = {slot.type for slot in table.slots}
    boot_code = any(table.regions[0].raw[_BOOT_CODE])
    guids = [(slot.number, slot.uuid) for slot in table.slots]
    entries: Sequence[BootEntry] = read_entries(guids) if table.kind == "gpt" else ()
    return Firmware(
        bios=boot_code and (table.kind != "gpt" or BIOS_BOOT_TYPE in types),
        uefi=bool({ESP_TYPE, MBR_ESP_TYPE} & types),
        entries=tuple(entries),
    )
