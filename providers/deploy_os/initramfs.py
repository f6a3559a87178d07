"""Writes initramfs images: cpio archives, compressed for the kernel.

The kernel unpacks one image after the other when they stand in one file
(``Documentation/driver-api/early-userspace/buffer-format.rst``), which is how the agent
is laid over the base without compressing the base again.
"""

from collections.abc import Iterable
from pathlib import Path

import zstandard

from providers.deploy_os.cpio import Entry, archive

_ALIGNMENT = 4


def write_image(entries: Iterable[Entry], mtime: int, level: int, image: Path) -> None:
    """Write one compressed archive.

    The bytes depend on the entries, ``mtime`` and ``level``, not on the number of
    processors: zstandard cuts its work in the same places for every number of threads.
    """
    compressor = zstandard.ZstdCompressor(level=level, threads=-1, write_checksum=False)
    with image.open("wb") as file, compressor.stream_writer(file, closefd=False) as writer:
        for piece in archive(entries, mtime):
            writer.write(piece)


def join_images(images: Iterable[Path], joined: Path) -> None:
    """Write ``images`` one after the other, each at a border of four bytes."""
    with joined.open("wb") as file:
        for image in images:
            data = image.read_bytes()
            file.write(data + b"\0" * (-len(data) % _ALIGNMENT))
