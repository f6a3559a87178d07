"""Loop devices: a range of a disk or file as a device of its own.

As ``losetup --find --sector-size`` attaches it, and with LO_FLAGS_AUTOCLEAR from its first moment,
which losetup(8) cannot ask for: the kernel detaches the device when the last process that has it
open ends, however that happens. Needs Linux 5.8 (LOOP_CONFIGURE; linux/loop.h).
"""

import errno
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import CommandError

if sys.platform != "win32":
    import fcntl

_CONTROL = Path("/dev/loop-control")
_LOOP_CONFIGURE, _LOOP_CLR_FD, _LOOP_CTL_GET_FREE = 0x4C0A, 0x4C01, 0x4C82
_READ_ONLY, _AUTOCLEAR = 1, 4
_NAME_SIZE = 64
_ATTEMPTS = 64
"""How often another process may take the device that was free."""


def configuration(backing: int, start: int, size: int, sector_size: int, *, write: bool) -> bytes:
    """Return the ``struct loop_config`` for ``size`` bytes from ``start`` of an open file."""
    flags = _AUTOCLEAR | (0 if write else _READ_ONLY)
    # loop_info64: device, inode, rdevice, offset, sizelimit; number, encryption and its key's
    # size, flags; the file's name, the encryption's name and key, two words.
    info = struct.pack("=5Q4I", 0, 0, 0, start, size, 0, 0, 0, flags)
    info += _backing_name(backing) + bytes(64 + 32 + 16)
    return struct.pack("=2I", backing, sector_size) + info + bytes(64)


@contextmanager
def attached(
    device: Path, start: int, size: int, sector_size: int, *, write: bool
) -> Iterator[Path]:
    """Provide the range as a loop device for the block; all in bytes.

    CommandError where there are no loop devices or no right to use them.
    """
    try:
        loop, descriptor = _attach(device, start, size, sector_size, write=write)
    except OSError as error:
        words = error.strerror or str(error)
        raise CommandError(("losetup", str(device)), "failed", words) from error
    try:
        yield loop
    finally:
        try:
            if write:
                os.fsync(descriptor)
            # Nobody new may open it; it goes with this descriptor or the last one.
            with suppress(OSError):
                fcntl.ioctl(descriptor, _LOOP_CLR_FD)
        finally:
            os.close(descriptor)


def _attach(
    device: Path, start: int, size: int, sector_size: int, *, write: bool
) -> tuple[Path, int]:
    """Return a loop device that shows the range, and the descriptor that keeps it attached."""
    access = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
    backing = os.open(device, access)
    try:
        wanted = configuration(backing, start, size, sector_size, write=write)
        for _ in range(_ATTEMPTS):
            loop = Path(f"/dev/loop{_free_number()}")
            descriptor = os.open(loop, access)
            try:
                fcntl.ioctl(descriptor, _LOOP_CONFIGURE, wanted)
            except OSError as error:
                os.close(descriptor)
                if error.errno != errno.EBUSY:
                    raise
            except BaseException:
                os.close(descriptor)
                raise
            else:
                return loop, descriptor
    finally:
        os.close(backing)
    raise OSError(errno.EBUSY, "other processes took every free loop device")


def _free_number() -> int:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def _backing_name(backing: int) -> bytes:
    """Return what ``losetup --list`` shows where it cannot ask sysfs."""
    name = os.fsencode(Path(f"/proc/self/fd/{backing}").readlink())
    return name[: _NAME_SIZE - 1].ljust(_NAME_SIZE, b"\0")
