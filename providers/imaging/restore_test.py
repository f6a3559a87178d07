"""The restore test: replay an image and check what comes out.

Every chunk of the image is unpacked, hashed and written to a sparse file as a
restore would write it; then the partition table and LVM's volumes are compared with
the manifest's, and every file system of which only the used blocks were kept goes
through its own read-only checker. Checkers of FAT and exFAT look at the structure
only, so the directories are read here, and every cluster of every file has to be in
the image. An image that has not passed is not restored.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agent.commands import sfdisk
from agent.errors import CodedError
from agent.imaging import lvm
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import CHUNK_SIZE, Chunk, is_zero, unpack
from agent.imaging.device import open_device
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, clipped, common, located, merged, total, without
from agent.imaging.fit import fit
from agent.imaging.flow import flow
from agent.imaging.manifest import ImagedPartition, LogicalVolume, Manifest
from agent.imaging.scan import ASKED_FOR
from agent.imaging.sparse import copy_pieces, copy_range
from agent.imaging.table import TableError, read_table
from providers.imaging import checker, fat_files, loss_test
from providers.imaging.errors import DamagedImageError, StoreAwayError, UnknownChunkError
from providers.imaging.fat_files import UnreadableFilesError
from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore
from providers.imaging.verification import damaged_test, mark_damaged

_DISK = "disk"
_EXT = checker.EXT


def run_restore_test(store: ChunkStore, digest: str, workdir: Path) -> RestoreTest:
    """Replay the image, check it, keep the outcome beside it and return it.

    ``workdir`` needs about twice the image's used bytes. A chunk that turns out to
    be corrupt is taken out of use, so that the next backup sends it again. Raises
    UnknownImageError where there is no such image, StoreAwayError; anything that is wrong with the
    image itself is in the result.
    """
    data = store.get_manifest(digest)
    image = manifest_format.decode(data)
    with tempfile.TemporaryDirectory(dir=workdir) as folder:
        losses: tuple[str, ...] = ()
        try:
            findings = list(_findings(store, digest, image, Path(folder)))
            if image.unreadable:
                losses = _losses(image, Path(folder) / _DISK, findings)
        except DamagedImageError as error:
            outcome = damaged_test(error.lines, store.stamp())
            store.record_restore_test(digest, outcome)
            return outcome
    if manifest_format.digest(data) != digest:
        findings.append((False, "the manifest does not have the image's digest"))
    outcome = RestoreTest(
        ok=all(good for good, _ in findings),
        details=tuple(text for _, text in findings),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        losses=losses,
    )
    store.record_restore_test(digest, outcome)
    return outcome


Finding = tuple[bool, str]
"""Whether it is good, and one line for people."""


def _findings(store: ChunkStore, digest: str, image: Manifest, folder: Path) -> Iterator[Finding]:
    disk = folder / _DISK
    try:
        replay(store, digest, image, disk)
        problem = ""
    except (DamagedImageError, StoreAwayError):
        raise
    except CodedError as error:
        problem = str(error)
    yield _finding(f"{image.chunk_count:,} chunks", problem)
    if problem:
        return
    if image.table != "none":
        yield _finding(f"partition table {image.table}", _table_problem(image, disk))
    for partition in image.partitions:
        name = f"partition {partition.number}"
        if partition.method == manifest_format.OMITTED:
            yield True, f"{name}: not in the image"
        elif partition.method == "full-sector":
            yield True, f"{name}: kept sector by sector, because {partition.reason}"
        elif partition.filesystem == "swap":
            yield True, f"{name}: swap, of which only the header is kept"
        elif partition.filesystem != lvm.SIGNATURE:
            yield _finding(f"{name}, {partition.filesystem}", _check(image, partition, disk))
    yield from _lvm_findings(image, disk)


def _finding(what: str, problem: str) -> Finding:
    return not problem, f"{what}: {problem or 'intact'}"


def _losses(image: Manifest, disk: Path, findings: list[Finding]) -> tuple[str, ...]:
    """Return whose the unreadable bytes were, and add what that means to the findings."""
    if not findings[0][0]:
        return ()  # there is no disk to look at

    def check(part: ImagedPartition | LogicalVolume) -> str | None:
        if not checker.has_checker(part.filesystem):
            return None
        if part.method == "used-blocks":
            return ""  # it was checked with all others
        if isinstance(part, ImagedPartition):
            return _check(image, part, disk)
        return _check_volume(image, part, disk) if part.extents else None

    found = loss_test.lost_places(image, disk)
    findings += loss_test.loss_findings(image, found, check)
    return loss_test.lines(found)


def replay(store: ChunkStore, digest: str, image: Manifest, disk: Path) -> None:
    """Write an image to a new sparse file.

    Raises DamagedImageError for a chunk that is missing or corrupt, after all images that need it
    were taken out of use as by a verification; StoreAwayError.
    """
    with disk.open("xb") as file:
        file.truncate(image.disk_size)
    try:
        with disk.open("r+b") as file:
            work = partial(_replay_chunk, store, file.fileno())
            with closing(flow(work, image.chunks())) as results:
                for _ in results:
                    pass
    except (CorruptChunkError, UnknownChunkError) as error:
        damages, unwritten = mark_damaged(store, (error.digest,))
        lines = [each.line for each in damages if each.image == digest]
        if lines:  # else it can be read again
            raise DamagedImageError(digest, lines, unwritten) from error
        raise


def _replay_chunk(store: ChunkStore, descriptor: int, chunk: Chunk) -> None:
    span = chunk.span
    content = unpack(store.get(chunk.digest), chunk.digest, span.offset)
    if len(content) != span.length:
        problem = f"it has {len(content):,} bytes, its place {span.length:,}"
        raise CorruptChunkError(chunk.digest, problem, span.offset)
    if is_zero(content):
        return  # the file reads as zeros there
    for part in span.ranges:
        position = part.offset
        while position < part.end:
            view = memoryview(content)[position : part.end]
            position += os.pwrite(descriptor, view, span.offset + position)


def _table_problem(image: Manifest, disk: Path) -> str:
    """Return how the replayed table differs from the manifest's, empty if it does not."""
    with open_device(str(disk), exclusive=False, sector_size=image.sector_size) as device:
        try:
            table = read_table(device.read, device.size, image.sector_size)
        except TableError as error:
            return str(error)
    if table.kind != image.table or table.regions != image.regions:
        return "it is not the one that the manifest holds"
    found = [(slot.number, slot.extent, slot.type, slot.uuid) for slot in table.slots]
    if found != [(part.number, part.extent, part.type, part.uuid) for part in image.partitions]:
        return "its partitions are not those of the manifest"
    if image.sector_size != sfdisk.FILE_SECTOR_SIZE:
        return ""
    _complete(image, disk)
    return checker.run(sfdisk.verify_arguments(disk), partial(sfdisk.is_good, disk))


def _complete(image: Manifest, disk: Path) -> None:
    """Give a GPT whose backup is not at the disk's end the one that a larger disk would get.

    Such a disk boots, and its table is good but for what a restore to a larger disk mends.
    """
    backup = image.region("gpt-backup-header")
    if image.table != "gpt" or (backup is not None and backup.extent.end == image.disk_size):
        return
    larger = image.disk_size + CHUNK_SIZE
    with disk.open("r+b") as file:
        file.truncate(larger)
        for patch in fit(image, larger).patches:
            file.seek(patch.offset)
            file.write(patch.raw)


def _check(image: Manifest, partition: ImagedPartition, disk: Path) -> str:
    """Return what is wrong with the partition's file system, empty if nothing."""
    if partition.filesystem in _EXT:
        return checker.check_ext(disk, partition.start)
    if partition.size == image.disk_size:
        return _check_content(image, partition.filesystem, (partition.extent,), disk)
    volume = disk.with_name(f"partition-{partition.number}")
    try:
        copy_range(disk, partition.start, partition.size, volume)
        return _check_content(image, partition.filesystem, (partition.extent,), volume)
    finally:
        volume.unlink(missing_ok=True)


def _lvm_findings(image: Manifest, disk: Path) -> Iterator[Finding]:
    """Yield what LVM's physical volumes on the replayed disk are like, and the volumes in them."""
    on_lvm = [each for each in image.partitions if each.filesystem == lvm.SIGNATURE]
    physical = [each for each in on_lvm if each.method == "used-blocks"]
    asked_for = [each for each in on_lvm if each.reason == ASKED_FOR and image.volumes]
    with open_device(str(disk), exclusive=False, sector_size=image.sector_size) as device:
        layout = lvm.read_layout(device.read, [each.extent for each in (*physical, *asked_for)])
    for partition in physical:
        problem = _physical_problem(image, partition, layout)
        yield _finding(f"partition {partition.number}, LVM", problem)
    found = {_key(volume): volume.extents for volume in layout.volumes if volume.extents}
    for group, name, _ in sorted(found.keys() - map(_key, image.volumes)):
        yield False, f"volume {group}/{name}: the manifest does not have it"
    for volume in image.volumes:
        name = f"volume {volume.group}/{volume.name}"
        if volume.extents and found.get(_key(volume)) != volume.extents:
            yield False, f"{name}: LVM's metadata says that it lies elsewhere"
        elif volume.method == "full-sector":
            yield True, f"{name}: kept whole, because {volume.reason}"
        elif volume.filesystem == "swap":
            yield True, f"{name}: swap, of which only the header is kept"
        else:
            yield _finding(f"{name}, {volume.filesystem}", _check_volume(image, volume, disk))


def _key(volume: lvm.Volume | LogicalVolume) -> tuple[str, str, str]:
    return volume.group, volume.name, volume.uuid


def _physical_problem(image: Manifest, partition: ImagedPartition, layout: lvm.Layout) -> str:
    """Return why a physical volume is not what it was, empty where it is."""
    if problem := layout.problems.get(partition.extent):
        return problem
    if without(merged(layout.kept[partition.extent]), image.used):
        return "metadata or extents that must be kept are not in the image"
    return ""


def _check_volume(image: Manifest, volume: LogicalVolume, disk: Path) -> str:
    """Return what is wrong with the file system in a logical volume, empty if nothing."""
    if volume.filesystem in _EXT and len(volume.extents) == 1:
        return checker.check_ext(disk, volume.extents[0].offset)
    copy = disk.with_name("volume")
    try:
        copy_pieces(disk, volume.extents, copy)
        if volume.filesystem in _EXT:
            return checker.check_ext(copy, 0)
        return _check_content(image, volume.filesystem, volume.extents, copy)
    finally:
        copy.unlink(missing_ok=True)


def _check_content(
    image: Manifest, filesystem: str, pieces: Sequence[Extent], content: Path
) -> str:
    """Return what is wrong with a file system whose bytes lie in ``pieces`` of the disk."""
    contents = not any(common(image.unreadable, merged(pieces)))
    problem = checker.check_volume(filesystem, content, contents=contents)
    if problem or filesystem not in fat_files.READERS:
        return problem
    with content.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    return _missing_file(image, filesystem, pieces, view)


def _missing_file(
    image: Manifest, filesystem: str, pieces: Sequence[Extent], content: memoryview
) -> str:
    """Return which file the image does not hold wholly, empty if it holds all."""
    try:
        for path, extent in fat_files.places(filesystem, content):
            wanted = located(pieces, (extent,))
            if sum(total(clipped(image.used, part)) for part in wanted) < extent.length:
                return f"{path} lies in blocks that the image does not hold"
    except UnreadableFilesError as error:
        return str(error)
    return ""
