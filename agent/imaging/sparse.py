"""Copies of parts of sparse files that stay sparse."""

import errno
import os
from pathlib import Path

_STEP = 64 << 20


def copy_range(source: Path, offset: int, size: int, target: Path) -> None:
    """Make ``target`` a new sparse file of ``size`` bytes from ``offset`` of a regular file.

    Raises OSError as the file system does.
    """
    with source.open("rb") as reader, target.open("xb") as writer:
        writer.truncate(size)
        position, end = offset, offset + size
        while position < end:
            start = _seek(reader.fileno(), position, os.SEEK_DATA)
            if start is None or start >= end:
                return
            stop = min(_seek(reader.fileno(), start, os.SEEK_HOLE) or end, end)
            _copy(reader.fileno(), start, stop, writer.fileno(), start - offset)
            position = stop


def _seek(descriptor: int, position: int, whence: int) -> int | None:
    """Return where data or a hole begins; None when there is no more before the end."""
    try:
        return os.lseek(descriptor, position, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _copy(reader: int, start: int, stop: int, writer: int, target: int) -> None:
    os.lseek(writer, target, os.SEEK_SET)
    while start < stop:
        start += os.sendfile(writer, reader, start, min(_STEP, stop - start))
