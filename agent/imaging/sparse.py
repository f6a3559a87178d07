"""Copies of parts of sparse files that stay sparse."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from agent.imaging.extent import Extent

_STEP = 64 << 20


def copy_range(source: Path, offset: int, size: int, target: Path) -> None:
    """Make ``target`` a new sparse file of ``size`` bytes from ``offset`` of ``source``.

    Raises OSError as the file system does.
    """
    copy_pieces(source, (Extent(offset, size),), target)


def copy_pieces(source: Path, pieces: Iterable[Extent], target: Path) -> None:
    """Make ``target`` a new sparse file of pieces of ``source``, one behind the other.

    Of a device all is copied; of a regular file what is no hole. Raises OSError as the
    file system does.
    """
    with source.open("rb") as reader, target.open("xb") as writer:
        start = 0
        for piece in pieces:
            writer.truncate(start + piece.length)
            _copy_piece(reader.fileno(), piece, writer.fileno(), start)
            start += piece.length


def insert(source: Path, target: Path, offset: int) -> None:
    """Copy what is no hole of a file into another one, from ``offset``. Raises OSError."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        size = reader.seek(0, os.SEEK_END)
        _copy_piece(reader.fileno(), Extent(0, size), writer.fileno(), offset)


def _copy_piece(reader: int, piece: Extent, writer: int, target: int) -> None:
    position, end = piece.offset, piece.end
    while position < end:
        start = _seek(reader, position, os.SEEK_DATA)
        if start is None or start >= end:
            return
        stop = min(_seek(reader, start, os.SEEK_HOLE) or end, end)
        _copy(reader, start, stop, writer, target + start - piece.offset)
        position = stop


def _seek(descriptor: int, position: int, whence: int) -> int | None:
    """Return where data or a hole begins; None when there is no more before the end."""
    try:
        return os.lseek(descriptor, position, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL:  # a device has no holes
            return position if whence == os.SEEK_DATA else None
        raise


def _copy(reader: int, start: int, stop: int, writer: int, target: int) -> None:
    os.lseek(writer, target, os.SEEK_SET)
    while start < stop:
        start += os.sendfile(writer, reader, start, min(_STEP, stop - start))
