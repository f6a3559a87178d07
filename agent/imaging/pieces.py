"""What lies in several pieces of a disk, as one device or file.

device-mapper composes it where the kernel has it and this user may use it. Else it is copied, which
serves for reading what lies on a disk that is a file, or is not too large.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.commands import dmsetup, losetup
from agent.errors import CommandError
from agent.imaging.extent import Extent, total
from agent.imaging.sparse import copy_pieces

LARGEST_COPY = 2 << 30
"""Bytes of a block device that are copied in order to read what lies in pieces."""


class PiecesError(Exception):
    """The pieces cannot be put together here; the text says why, in one phrase."""


@contextmanager
def composed(
    node: Path, size: int, sector_size: int, pieces: Sequence[Extent], *, write: bool = False
) -> Iterator[Path]:
    """Provide pieces of a disk of ``size`` bytes, one behind the other, as one device or file.

    The disk may be open exclusively. PiecesError where that cannot be done.
    """
    lies = f"it lies in {len(pieces)} pieces"
    with ExitStack() as stack:
        if dmsetup.is_there():
            try:
                # device-mapper opens what it works on exclusively, which the disk may be already.
                loop = losetup.attached(node, 0, size, sector_size, write=write)
                whole = stack.enter_context(loop)
                name = f"rackwright-{whole.name}"
                path = stack.enter_context(dmsetup.composed(name, whole, pieces, write=write))
            except CommandError as error:
                words = f"{error.program}: {' '.join(error.words.split())[:200]}"
                raise PiecesError(f"{lies}, which could not be put together: {words}") from error
        elif write or (node.is_block_device() and total(pieces) > LARGEST_COPY):
            raise PiecesError(
                f"{lies}, which this machine cannot put together without device-mapper"
            )
        else:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "volume"
            try:
                copy_pieces(node, pieces, path)
            except OSError as error:
                raise PiecesError(f"{lies}, and copying them failed: {error.strerror}") from error
        yield path
