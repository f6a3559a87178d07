"""An image for a smaller disk, made of another one, which stays as it is.

The partition that becomes smaller is laid out in a sparse file of its own and shrunk there by its
file system's tool. Then the new disk is laid out in another file: what was in front of the
partition, the partition, what was behind it at its new place, the new table. That file is
captured as a machine's disk would be.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path

from attrs import evolve, frozen

from agent.commands import losetup
from agent.commands.sfdisk import FILE_SECTOR_SIZE
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import Progress, capture
from agent.imaging.chunk import Chunk, is_zero, unpack
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, clipped, total
from agent.imaging.flow import flow
from agent.imaging.growable import BTRFS
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.scan import ASKED_FOR
from agent.imaging.sparse import insert
from agent.wire.imaged_layout import counted_partitions
from providers.imaging import file_system_size
from providers.imaging.boot_places import corrections, unbootable_reason
from providers.imaging.errors import NoSpaceError, ShrinkError, TooSmallError
from providers.imaging.image_mount import enter_private_mounts
from providers.imaging.image_reader import ImageReader, stored_manifest
from providers.imaging.smaller_layout import (
    UNIT,
    Layout,
    choose,
    largest_size,
    layout,
    smallest_size,
    table,
)
from providers.imaging.store import ChunkStore
from providers.imaging.store_place import RESERVE
from providers.imaging.transfer import HealingStore, described

Stage = Callable[[str], AbstractContextManager[Progress]]
"""``stage(what)`` shows that something begins, and how many bytes of it are done."""

_LEAST_SLACK = 64 << 20
_SLACK_PART = 10
"""The new file system gets a tenth more than it needs, and ``_LEAST_SLACK`` at least."""
_ROOT = "Run it as root"
_IDENTITY_ROOM = 64 << 20
"""What stays free for the agent and the identity of a clone, where the image is for clones."""


@frozen
class Request:
    """What is asked for. ``disk_size`` is the most bytes that the new disk may have."""

    partition: int | None = None
    disk_size: int | None = None


@frozen
class Shrunk:
    """What became of an image, or would. Bytes."""

    image: Manifest
    """The one that it was made of."""
    layout: Layout
    partition: ImagedPartition | None
    """The one that is smaller, as it was; None where only unused space at the end goes."""
    needed: int
    """The fewest bytes of its file system, with room for a clone's agent."""
    digest: str = ""
    """Of the new image; empty where none was made."""


def shrink_image(  # noqa: PLR0913 - what is asked for, where, and how it is shown
    store: ChunkStore, digest: str, request: Request, work: Path, stage: Stage, *, dry_run: bool
) -> Shrunk:
    """Make an image that fits a smaller disk, without name and restore test; or only look how.

    ``work`` needs about twice the image's used bytes. Raises ShrinkError RW448, TooSmallError
    RW449, NoSpaceError, UnknownImageError, and what reading chunks, a capture and the tools of
    file systems raise. Nothing but chunks was stored then.
    """
    image = stored_manifest(store, digest)
    _refuse(image, request)
    read = ImageReader(image, store).read
    most = None if request.disk_size is None else request.disk_size // UNIT * UNIT
    with tempfile.TemporaryDirectory(dir=work) as folder:
        whole = layout(image)
        if request.partition is None and most is not None and whole.disk_size <= most:
            _require_room(work, image.used_bytes)
            planned = Shrunk(image, evolve(whole, disk_size=most), None, 0)
            volume = None
        else:
            partition = choose(image, request.partition)
            _refuse_unbootable(image, partition, read)
            content = total(clipped(image.used, partition.extent))
            _require_room(work, content if dry_run else content + image.used_bytes)
            volume = Path(folder) / "volume"
            with stage(f"reading partition {partition.number}") as progress:
                _lay_out(store, image, [(partition.extent, 0)], volume, partition.size, progress)
            if partition.filesystem == BTRFS:
                enter_private_mounts()
            with stage(f"checking the {partition.filesystem}"):
                needed = file_system_size.smallest(volume, partition.filesystem)
            needed = min(needed + _room_of_clones(image), partition.size)
            planned = Shrunk(image, _new_layout(image, partition, needed, most), partition, needed)
        if dry_run:
            return planned
        disk = Path(folder) / "disk"
        _compose(store, planned, volume, disk, stage)
        if volume is not None:
            volume.unlink()
        with stage("capturing the new disk") as progress:
            return evolve(planned, digest=_store(store, planned, disk, progress))


def _refuse(image: Manifest, request: Request) -> None:
    if image.unreadable:
        raise ShrinkError(
            f"its disk did not give {image.unreadable_bytes:,} bytes, which are zeros, and the new "
            "image would not say so",
            "Capture the disk again, repaired or copied to a good one, or restore the image as it "
            "is",
        )
    if request.disk_size is not None and request.disk_size >= image.disk_size:
        raise ShrinkError(
            f"its disk has {image.disk_size:,} bytes, {request.disk_size:,} are no less",
            "It fits such a disk as it is",
        )
    if omitted := image.layout.omitted:
        raise ShrinkError(
            f"it does not hold {counted_partitions(omitted)}",
            "Back up the whole disk and shrink that image",
        )
    reasons = {each.reason for each in image.partitions if each.reason != ASKED_FOR} - {""}
    if image.used == (Extent(0, image.disk_size),) and reasons:
        raise ShrinkError(
            f"all of its disk was kept sector by sector: {'; '.join(sorted(reasons))}",
            "Mend that on the captured machine and capture it again",
        )
    if image.sector_size != FILE_SECTOR_SIZE and os.geteuid() != 0:
        raise ShrinkError(
            f"a disk with sectors of {image.sector_size:,} bytes is a loop device here, which "
            "takes root",
            _ROOT,
        )


def _refuse_unbootable(
    image: Manifest, partition: ImagedPartition, read: Callable[[int, int], bytes]
) -> None:
    if partition.filesystem == BTRFS and os.geteuid() != 0:
        raise ShrinkError("a Btrfs is shrunk while it is mounted, which takes root", _ROOT)
    any_smaller = layout(image, partition.number, max(partition.size - UNIT, image.sector_size))
    if reason := unbootable_reason(image, any_smaller, read):
        raise ShrinkError(
            f"a smaller disk would not start: {reason}",
            "Name another partition with --partition, or have the captured machine start by UEFI "
            "or by GRUB outside of its partitions",
        )


def _new_layout(
    image: Manifest, partition: ImagedPartition, needed: int, most: int | None
) -> Layout:
    """Return the disk of ``most`` bytes; without, one with some space left in the partition."""
    least = layout(image, partition.number, smallest_size(partition, needed))
    name = f"partition {partition.number} ({partition.filesystem})"
    if most is None:
        slack = max(needed // _SLACK_PART, _LEAST_SLACK)
        new = layout(image, partition.number, smallest_size(partition, needed + slack))
        if new.disk_size < image.disk_size:
            return new
        raise ShrinkError(
            f"{name} has {partition.size:,} bytes and needs {needed:,}, with space to work in "
            f"{needed + slack:,}",
            "Say with --to how large the disk may be, or name another partition with --partition",
        )
    if most < least.disk_size:
        raise TooSmallError(
            most,
            least.disk_size,
            f"{name} has {partition.size:,} bytes and needs {needed:,}, what lies beside it "
            f"{least.disk_size - smallest_size(partition, needed):,}",
            f"Ask for `--to {least.disk_size}B` or more, or name another partition with "
            "--partition",
        )
    size = largest_size(image, partition, most)
    return layout(image, partition.number, size, most)


def _room_of_clones(image: Manifest) -> int:
    return _IDENTITY_ROOM if image.system is not None and not image.system.obstacles else 0


# --- laying out -------------------------------------------------------------------------

_Copies = Sequence[tuple[Extent, int]]
"""What of the image's disk goes to which offset of a file."""


def _lay_out(  # noqa: PLR0913, PLR0917 - from where, what, to where
    store: ChunkStore, image: Manifest, copies: _Copies, file: Path, size: int, progress: Progress
) -> None:
    """Make a sparse file of parts of the image's disk, whose chunks are all checked."""
    whole = sum(total(clipped(image.used, source)) for source, _ in copies)
    with file.open("xb") as opened:
        opened.truncate(size)
        write = partial(_write_chunk, store, opened.fileno(), copies)
        chunks = (each for each in image.chunks() if _is_wanted(each, copies))
        done = 0
        with closing(flow(write, chunks)) as written:
            for count in written:
                done += count
                progress(done, whole)


def _require_room(work: Path, needed: int) -> None:
    free = shutil.disk_usage(work).free
    if free - needed < RESERVE:
        raise NoSpaceError(work, needed, free, RESERVE)


def _is_wanted(chunk: Chunk, copies: _Copies) -> bool:
    place = Extent(chunk.span.offset, chunk.span.length)
    return any(any(clipped((source,), place)) for source, _ in copies)


def _write_chunk(store: ChunkStore, descriptor: int, copies: _Copies, chunk: Chunk) -> int:
    """Write what is wanted of a chunk; return how many used bytes that were."""
    span, count = chunk.span, 0
    content = memoryview(unpack(store.get(chunk.digest), chunk.digest, span.offset))
    if len(content) != span.length:
        problem = f"it has {len(content)} bytes, its place {span.length}"
        raise CorruptChunkError(chunk.digest, problem, span.offset)
    empty = is_zero(content)
    for part in span.ranges:
        used = Extent(span.offset + part.offset, part.length)
        for source, target in copies:
            for piece in clipped((source,), used):
                count += piece.length
                if not empty:
                    start = piece.offset - span.offset
                    data = content[start : start + piece.length]
                    _write(descriptor, data, target + piece.offset - source.offset)
    return count


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)


def _compose(
    store: ChunkStore, planned: Shrunk, volume: Path | None, disk: Path, stage: Stage
) -> None:
    """Shrink the volume and lay out the new disk."""
    image, new, partition = planned.image, planned.layout, planned.partition
    place = new.smaller
    if volume is not None and partition is not None and place is not None and place.changed:
        with stage(f"shrinking the {partition.filesystem}"):
            file_system_size.shrink(volume, partition.filesystem, place.after.length)
    with stage("laying out the new disk") as progress:
        _lay_out(store, image, tuple(new.copies()), disk, new.disk_size, progress)
        if volume is not None and place is not None:
            insert(volume, disk, place.after.offset)
    read = ImageReader(image, store).read
    with disk.open("r+b") as file:
        for patch in (*corrections(image, new, read), *table(image, new)):
            file.seek(patch.offset)
            file.write(patch.raw)


# --- the new image ----------------------------------------------------------------------


def _store(store: ChunkStore, planned: Shrunk, disk: Path, progress: Progress) -> str:
    """Capture the new disk as the first one was; return the digest of the image."""
    image = planned.image
    full = any(each.reason == ASKED_FOR for each in image.partitions)
    with _shown(disk, image.sector_size) as node:
        seen = described(node, planned.layout.disk_size, image.sector_size)
        captured = capture(seen, HealingStore(store), progress, image.system, full=full)
    _refuse_difference(planned, captured)
    # Boot entries are firmware's, which the image alone still has.
    captured = evolve(captured, firmware=image.firmware)
    return store.put_manifest(manifest_format.encode(captured))


@contextmanager
def _shown(disk: Path, sector_size: int) -> Iterator[Path]:
    """Provide the disk with sectors of that size; a file has those of 512 bytes."""
    if sector_size == FILE_SECTOR_SIZE:
        yield disk
        return
    size = disk.stat().st_size
    with losetup.attached(disk, 0, size, sector_size, write=False) as node:
        yield node


def _refuse_difference(planned: Shrunk, captured: Manifest) -> None:
    """Raise ShrinkError unless the new disk is read as the one that was planned."""
    image, new, smaller = planned.image, planned.layout, planned.layout.smaller
    wanted = []
    for each in image.partitions:
        is_smaller = smaller is not None and each.number == new.shrunk
        size = smaller.after.length if smaller is not None and is_smaller else each.size
        wanted.append(evolve(each, start=new.now(each.start), size=size))
    expected, found = map(_words, wanted), map(_words, captured.partitions)
    if captured.table == image.table:
        differing = next(
            (pair for pair in zip_longest(expected, found) if len(set(pair)) > 1), None
        )
        if differing is None:
            return
    else:
        differing = (image.table, captured.table)
    raise ShrinkError(
        f"on the new disk, {differing[1] or 'nothing'} is read where {differing[0] or 'nothing'} "
        "should be",
        "Nothing was changed; report this with what `rackwright image show` says",
    )


def _words(partition: ImagedPartition) -> str:
    """Return what of a partition is the same on the new disk."""
    return (
        f"partition {partition.number} of {partition.size} bytes from {partition.start}, type "
        f"{partition.type}, {partition.uuid}, {partition.filesystem or 'nothing known'}"
    )
