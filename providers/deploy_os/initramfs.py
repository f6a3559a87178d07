"""Writes initramfs images: cpio archives in the "newc" form, compressed for the kernel.

The form is described in the kernel's ``Documentation/driver-api/early-userspace/
buffer-format.rst``. All entries belong to root and carry one time, and the caller's
order is kept, so that equal trees give equal bytes. The kernel unpacks one image after
the other when they stand in one file, which is how the agent is laid over the base without
compressing the base again.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive.

    ``mode`` has the file's type and permissions as ``stat`` gives them. ``content`` is a
    file's data or where to read it, a symbolic link's target, empty for the rest.
    ``device`` is the major and minor number of a device node.
    """

    name: str
    mode: int
    content: bytes | Path = b""
    device: tuple[int, int] = (0, 0)


def archive(entries: Iterable[Entry], mtime: int) -> Iterator[bytes]:
    """Yield the archive piece by piece."""
    inode = 0
    for inode, entry in enumerate(entries, start=1):
        content = entry.content
        data = content.read_bytes() if isinstance(content, Path) else content
        yield _record(entry, inode, mtime, data)
    yield _record(Entry("TRAILER!!!", 0), inode + 1, 0, b"")


def entries_below(root: Path) -> Iterator[Entry]:
    """Yield what is below ``root`` in a fixed order, directories before their contents.

    Permissions are made uniform: a file is executable for all or for nobody.
    """
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
        name = path.relative_to(root).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield Entry(name, stat.S_IFLNK | 0o777, str(path.readlink()).encode())
        elif stat.S_ISDIR(mode):
            yield Entry(name, stat.S_IFDIR | (0o1777 if mode & stat.S_ISVTX else 0o755))
        else:
            yield Entry(name, stat.S_IFREG | (0o755 if mode & 0o111 else 0o644), path)


def directory(name: str) -> Entry:
    """Return the entry of a directory that all may read."""
    return Entry(name, stat.S_IFDIR | 0o755)


def character_device(name: str, mode: int, major: int, minor: int) -> Entry:
    """Return the entry of a character device node."""
    return Entry(name, stat.S_IFCHR | mode, device=(major, minor))


def _record(entry: Entry, inode: int, mtime: int, data: bytes) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (
        inode,
        entry.mode,
        0,
        0,
        links,
        mtime,
        len(data),
        0,
        0,
        *entry.device,
        len(name),
        0,
    )
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    return head + _padding(len(head)) + data + _padding(len(data))


def _padding(length: int) -> bytes:
    return b"\0" * (-length % _ALIGNMENT)


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
