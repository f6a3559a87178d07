"""The restore test: replay an image and check what comes out.

Every chunk of the image is unpacked, hashed and written to a sparse file as a
restore would write it; then the partition table is compared with the manifest's
and every file system of which only the used blocks were kept goes through its
own read-only checker. Checkers of FAT and exFAT look at the structure only, so the
directories are read here, and every cluster of every file has to be in the image.
An image that has not passed is not restored.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agent.commands import sfdisk
from agent.errors import CodedError
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import Chunk, is_zero, unpack
from agent.imaging.device import open_device
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, clipped, total
from agent.imaging.flow import flow
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.sparse import copy_range
from agent.imaging.table import TableError, read_table
from providers.imaging import checker, fat_files
from providers.imaging.fat_files import UnreadableFilesError
from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore

_EXT = frozenset(("ext2", "ext3", "ext4"))


def run_restore_test(store: ChunkStore, digest: str, workdir: Path) -> RestoreTest:
    """Replay the image, check it, keep the outcome beside it and return it.

    ``workdir`` needs about twice the image's used bytes. A chunk that turns out to
    be corrupt is taken out of use, so that the next backup sends it again. Raises
    UnknownImageError where there is no such image; anything that is wrong with the
    image itself is in the result.
    """
    data = store.get_manifest(digest)
    image = manifest_format.decode(data)
    with tempfile.TemporaryDirectory(dir=workdir) as folder:
        findings = list(_findings(store, image, Path(folder)))
    if manifest_format.digest(data) != digest:
        findings.append((False, "the manifest does not have the image's digest"))
    outcome = RestoreTest(
        ok=all(good for good, _ in findings),
        details=tuple(text for _, text in findings),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    store.record_restore_test(digest, outcome)
    return outcome


Finding = tuple[bool, str]
"""Whether it is good, and one line for people."""


def _findings(store: ChunkStore, image: Manifest, folder: Path) -> Iterator[Finding]:
    disk = folder / "disk"
    problem = _replay(store, image, disk)
    yield _finding(f"{image.chunk_count} chunks", problem)
    if problem:
        return
    if image.table != "none":
        yield _finding(f"partition table {image.table}", _table_problem(image, disk))
    for partition in image.partitions:
        name = f"partition {partition.number}"
        if partition.method == "full-sector":
            yield True, f"{name}: kept sector by sector, because {partition.reason}"
        elif partition.filesystem == "swap":
            yield True, f"{name}: swap, of which only the header is kept"
        else:
            yield _finding(f"{name}, {partition.filesystem}", _check(image, partition, disk))


def _finding(what: str, problem: str) -> Finding:
    return not problem, f"{what}: {problem or 'intact'}"


def _replay(store: ChunkStore, image: Manifest, disk: Path) -> str:
    """Write the image to a new sparse file; return what is wrong, empty if nothing."""
    with disk.open("xb") as file:
        file.truncate(image.disk_size)
    try:
        with disk.open("r+b") as file:
            work = partial(_replay_chunk, store, file.fileno())
            with closing(flow(work, image.chunks())) as results:
                for _ in results:
                    pass
    except CorruptChunkError as error:
        store.set_aside(error.digest)
        return str(error)
    except CodedError as error:
        return str(error)
    return ""


def _replay_chunk(store: ChunkStore, descriptor: int, chunk: Chunk) -> None:
    span = chunk.span
    content = unpack(store.get(chunk.digest), chunk.digest, span.offset)
    if len(content) != span.length:
        problem = f"it has {len(content)} bytes, its place {span.length}"
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
    return checker.run(sfdisk.verify_arguments(disk), sfdisk.is_good)


def _check(image: Manifest, partition: ImagedPartition, disk: Path) -> str:
    """Return what is wrong with the partition's file system, empty if nothing."""
    if partition.filesystem in _EXT:
        return checker.check_ext(disk, partition.start)
    if partition.size == image.disk_size:
        return _check_volume(image, partition, disk)
    volume = disk.with_name(f"partition-{partition.number}")
    try:
        copy_range(disk, partition.start, partition.size, volume)
        return _check_volume(image, partition, volume)
    finally:
        volume.unlink(missing_ok=True)


def _check_volume(image: Manifest, partition: ImagedPartition, volume: Path) -> str:
    problem = checker.check_volume(partition.filesystem, volume)
    if problem or partition.filesystem not in fat_files.READERS:
        return problem
    with volume.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    return _missing_file(image, partition, content)


def _missing_file(image: Manifest, partition: ImagedPartition, volume: memoryview) -> str:
    """Return which file the image does not hold wholly, empty if it holds all."""
    try:
        for path, extent in fat_files.places(partition.filesystem, volume):
            wanted = Extent(partition.start + extent.offset, extent.length)
            if total(clipped(image.used, wanted)) < extent.length:
                return f"{path} lies in blocks that the image does not hold"
    except UnreadableFilesError as error:
        return str(error)
    return ""
