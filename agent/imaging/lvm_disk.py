"""LVM on an inspected disk: what lies there, and what of it an image must not be put beside."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.commands import blkid
from agent.errors import CodedError
from agent.imaging import lvm
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.manifest import Manifest
from agent.wire.disk import Disk

_log = logging.getLogger(__name__)


def disk_layout(disk: Disk) -> lvm.Layout:
    """Return what lies in the physical volumes of a disk: its partitions, or the disk itself.

    CommandError or OSError where it cannot be read.
    """
    places = [
        Extent(part.start, part.size)
        for part in disk.partitions
        if part.filesystem == lvm.SIGNATURE and not part.several
    ]
    whole = Extent(0, disk.identity.size)
    if not disk.partitions and blkid.probe(Path(disk.node), *whole).filesystem == lvm.SIGNATURE:
        places = [whole]
    if not places:
        return lvm.Layout({}, {}, ())
    descriptor = os.open(disk.node, os.O_RDONLY | os.O_CLOEXEC)
    try:

        def read(offset: int, length: int) -> bytes:
            return os.pread(descriptor, length, offset)

        return lvm.read_layout(read, places)
    finally:
        os.close(descriptor)


def refuse_clash(image: Manifest, target: Disk, disks: Sequence[Disk]) -> None:
    """Raise RefusedDiskError RW463 where LVM would not tell the image's groups from another disk's.

    It activates no volume of two groups of one name, and none of which there are two copies; the
    system would not find its root. A disk that cannot be read is passed over.
    """
    for disk in disks:
        if disk.node == target.node or not image.volumes:
            continue
        try:
            found = disk_layout(disk).volumes
        except (CodedError, OSError) as error:
            _log.warning("LVM on %s is not looked at: %s", disk.node, error)
            continue
        for group, what in _clashes(image, found):
            raise RefusedDiskError(
                "RW463",
                f"{what} of the image is on {disk.node} ({disk.identity.key()}) already: {group}",
                "Take that disk out, rename its group there (`vgrename UUID NAME`), or make it "
                "blank (`wipefs`), if nobody needs what is on it",
            )


def _clashes(image: Manifest, found: Sequence[lvm.Volume]) -> Iterator[tuple[str, str]]:
    """Yield groups on another disk and what they are to the image."""
    for group in sorted({each.group for each in found} & {each.group for each in image.volumes}):
        ours = {each.uuid: each for each in image.volumes if each.group == group}
        theirs = {each.uuid: each for each in found if each.group == group}
        same = ours.keys() & theirs.keys()
        if not same:
            yield group, "an LVM volume group with the name of one"
        # A group may also have physical volumes on several disks, each volume lying on one.
        elif any(ours[uuid].extents and theirs[uuid].extents for uuid in same):
            yield group, "a copy of an LVM volume group"
