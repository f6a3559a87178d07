"""A file system of its own, which can be full and can lose its power. Needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path

SIZE = 2 << 30
"""Bytes; the file is sparse. An image store leaves 1 GiB free (``RESERVE``)."""
_BLOCK = 1024


class OwnDisk:
    """An ext4 file system in a file, mounted at ``path``."""

    def __init__(self, file: Path, path: Path) -> None:
        self.path = path
        self._file = file
        self._filler = path / "filler"

    def mount(self) -> None:
        """Mount it; the kernel replays the file system's journal."""
        self.path.mkdir(exist_ok=True)
        # Nothing reaches the file by itself: only what a program waits for (fsync).
        options = "loop,commit=600"
        subprocess.run(["mount", "-o", options, self._file, self.path], check=True)

    def unmount(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", self.path], check=True)

    def fill(self, *, leaving: int = 0) -> None:
        """Leave so many bytes: less than an image store keeps free, or no room at all."""
        size, step = 0, SIZE
        with self._filler.open("wb") as file:
            while step >= _BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError as error:
                    if error.errno != ENOSPC:
                        raise
                    step //= 2
                else:
                    size += step
            os.ftruncate(file.fileno(), max(0, size - leaving))

    def make_room(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def lose_power(self) -> None:
        """Let the file system hold what its medium does, as after a power cut.

        What programs wrote is in the memory of the kernel until they, or the kernel after
        some time, have it written to the medium: the file behind the file system. Nobody may
        have a file open.
        """
        medium = self._file.with_suffix(".medium")
        subprocess.run(["cp", "--sparse=always", self._file, medium], check=True)
        self.unmount()
        medium.replace(self._file)
        self.mount()


@contextmanager
def own_disk(folder: Path, path: Path) -> Iterator[OwnDisk]:
    """Make a file system in ``folder`` and mount it at ``path``."""
    file = folder / "disk.img"
    with file.open("xb") as handle:
        handle.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", file], check=True)
    disk = OwnDisk(file, path)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()
