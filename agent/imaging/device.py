"""A disk opened for imaging: a block device, or a regular file that stands for one.

Block devices are opened with O_EXCL, which the kernel refuses while any
partition is mounted, swapped on or held by md, dm or another claimer, and which
keeps all of them away until it is closed. They are read and written with
O_DIRECT, so that a read after a write comes from the device. Regular files go
through the page cache, which is dropped where that matters.
"""

import errno
import fcntl
import mmap
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from agent.imaging.chunk import CHUNK_SIZE, Span, mask
from agent.imaging.errors import DiskFailureError, RefusedDiskError, UnreadableSectorError
from agent.imaging.extent import Extent
from agent.imaging.occupancy import disk_ids, occupants
from agent.imaging.refusal import Seen, in_use, read_only

if TYPE_CHECKING:
    from agent.imaging.bad_sectors import BadSectors

_BLKROGET = 0x125E
_BLKRRPART = 0x125F
_BLKFLSBUF = 0x1261
_BLKSSZGET = 0x1268
_BLKGETSIZE64 = 0x80081272
_BLKPBSZGET = 0x127B

_FILE_SECTOR_SIZE = 512
_REREAD_ATTEMPTS = 20
_REREAD_PAUSE = 0.1  # udev opens new partitions for a moment, which makes the ioctl fail


class Device:
    """An open disk. All offsets and sizes are bytes and multiples of ``sector_size``."""

    def __init__(self, node: str, descriptor: int, *, block: bool, sector_size: int) -> None:
        self.node = node
        self.block = block
        self.bad_sectors: BadSectors | None = None
        """How sectors that cannot be read are dealt with; None: they are a failure."""
        self._descriptor = descriptor
        self.sector_size = sector_size
        if block:
            self.sector_size = struct.unpack("i", _ioctl(descriptor, _BLKSSZGET, bytes(4)))[0]
            self.size = struct.unpack("Q", _ioctl(descriptor, _BLKGETSIZE64, bytes(8)))[0]
        else:
            self.size = os.fstat(descriptor).st_size // sector_size * sector_size

    @property
    def read_only(self) -> bool:
        """Whether the device refuses writes."""
        if self.block:
            return bool(struct.unpack("i", _ioctl(self._descriptor, _BLKROGET, bytes(4)))[0])
        return not os.access(self.node, os.W_OK)

    @property
    def physical_sector_size(self) -> int:
        """The smallest number of bytes that the medium loses; never less than a sector."""
        if not self.block:
            return self.sector_size
        (size,) = struct.unpack("I", _ioctl(self._descriptor, _BLKPBSZGET, bytes(4)))
        return max(int(size), self.sector_size)

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill ``view``, a part of a buffer from ``Buffers``, from ``offset``.

        Sectors that ``bad_sectors`` skips are zeros. Raises DiskFailureError, and what
        ``bad_sectors`` raises.
        """
        try:
            if self.bad_sectors is None:
                self._read_once(view, offset)
            else:
                self.bad_sectors.fill(self._read_once, view, offset)
        except OSError as error:
            raise DiskFailureError(self.node, "read", offset, error) from error

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; for small pieces, such as tables.

        Raises UnreadableSectorError where a part of it was skipped.
        """
        data = self.read_marked(offset, length)
        bad = self.bad_sectors
        if bad is not None and bad.meets(Extent(offset, length)):
            raise UnreadableSectorError(self.node, offset, self.sector_size)
        return data

    def read_marked(self, offset: int, length: int) -> bytes:
        """Return the same with zeros for what ``bad_sectors`` skips."""
        start = offset // self.sector_size * self.sector_size
        end = -(-(offset + length) // self.sector_size) * self.sector_size
        view = memoryview(mmap.mmap(-1, end - start))
        self.read_into(view, start)
        return bytes(view[offset - start : offset - start + length])

    def _read_once(self, view: memoryview, offset: int) -> None:
        """Fill ``view``; OSError as the system says it, DiskFailureError at the disk's end."""
        done = 0
        while done < len(view):
            count = os.preadv(self._descriptor, [view[done:]], offset + done)
            if count == 0:
                raise DiskFailureError(self.node, "read", offset + done, "end of the disk")
            done += count

    def write(self, view: memoryview, offset: int) -> None:
        """Write a part of a buffer from ``Buffers`` at ``offset``."""
        done = 0
        while done < len(view):
            try:
                done += os.pwritev(self._descriptor, [view[done:]], offset + done)
            except OSError as error:
                raise DiskFailureError(self.node, "write", offset + done, error) from error

    def write_bytes(self, data: bytes, offset: int) -> None:
        """Write whole sectors that do not lie in an aligned buffer."""
        view = memoryview(mmap.mmap(-1, len(data)))
        view[:] = data
        self.write(view, offset)

    def flush(self) -> None:
        """Return once everything written is on the medium and no cache holds it."""
        try:
            os.fsync(self._descriptor)
            if self.block:
                fcntl.ioctl(self._descriptor, _BLKFLSBUF, 0)
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise DiskFailureError(self.node, "write", 0, error) from error

    def reread_table(self) -> bool:
        """Let the kernel read the partition table anew; False where it could not.

        The partitions' own page caches go with their old nodes.
        """
        if not self.block:
            return False
        for _ in range(_REREAD_ATTEMPTS):
            try:
                fcntl.ioctl(self._descriptor, _BLKRRPART)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    return False
                time.sleep(_REREAD_PAUSE)
            else:
                return True
        return False


@contextmanager
def open_device(
    node: str, *, write: bool = False, exclusive: bool = True, sector_size: int = _FILE_SECTOR_SIZE
) -> Iterator[Device]:
    """Open a disk. ``sector_size`` is that of a regular file; a device knows its own.

    Raises RefusedDiskError when there is no such disk, it is in use or cannot be
    opened for writing.
    """
    try:
        block = _is_block(node)
        descriptor = os.open(node, _flags(write=write, block=block, exclusive=exclusive))
    except OSError as error:
        raise _refusal(node, error) from error
    try:
        if exclusive and (users := occupants(node)):
            raise in_use(node, users)
        yield Device(node, descriptor, block=block, sector_size=sector_size)
    finally:
        os.close(descriptor)


def seen(device: Device) -> Seen:
    """Return what the kernel says of an open disk."""
    serial, wwn = disk_ids(device.node) if device.block else ("", "")
    return Seen(device.size, device.sector_size, device.read_only, serial, wwn)


class Buffers:
    """Reusable page-aligned buffers of one chunk, as O_DIRECT demands them.

    Grows to the largest number ever in use at once and no further; thread-safe.
    """

    def __init__(self) -> None:
        self._free: SimpleQueue[mmap.mmap] = SimpleQueue()

    def take(self) -> mmap.mmap:
        """Return a buffer with any content."""
        try:
            return self._free.get_nowait()
        except Empty:
            return mmap.mmap(-1, CHUNK_SIZE)

    def give_back(self, buffer: mmap.mmap) -> None:
        """Accept a buffer that nobody uses any more."""
        self._free.put(buffer)

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """Lend a buffer for the block."""
        buffer = self.take()
        try:
            yield memoryview(buffer)
        finally:
            self.give_back(buffer)


def load(device: Device, span: Span, buffer: memoryview) -> memoryview:
    """Read what is used of a chunk into ``buffer`` and return its content there.

    ``buffer`` comes from ``Buffers``. Raises DiskFailureError.
    """
    first, end = span.ranges[0].offset, span.ranges[-1].end
    device.read_into(buffer[first:end], span.offset + first)
    content = buffer[: span.length]
    mask(content, span.ranges)
    return content


def _ioctl(descriptor: int, request: int, argument: bytes) -> bytes:
    return fcntl.ioctl(descriptor, request, argument)


def _is_block(node: str) -> bool:
    mode = Path(node).stat().st_mode
    if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
        raise RefusedDiskError(
            "RW415", f"{node} is neither a block device nor a regular file", "Name a disk"
        )
    return stat.S_ISBLK(mode)


def _flags(*, write: bool, block: bool, exclusive: bool) -> int:
    flags = os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
    if block:
        flags |= os.O_DIRECT
        if exclusive:
            flags |= os.O_EXCL
    return flags


def _refusal(node: str, error: OSError) -> RefusedDiskError:
    if error.errno == errno.EBUSY:
        return in_use(node, occupants(node))
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return read_only(node)
    return RefusedDiskError(
        "RW415", f"cannot open {node}: {error.strerror}", "Inspect the machine's disks again"
    )
