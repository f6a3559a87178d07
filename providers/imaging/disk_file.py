"""Files of virtual machines' disks: which format one has, and that it refers to no other file.

What a file may name as its backing file, data file or extent is any file of this computer, and
would become part of the image. So the first bytes are read here, before qemu-img sees them
(``docs/interop/qcow2.txt`` of QEMU; VMware's Virtual Disk Format 5.0).
"""

import os
import shutil
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT, ENOTDIR
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from agent.commands import blkid, qemu_img
from agent.errors import CommandError, MissingCommandError
from agent.imaging.table import Reader, TableError, read_table
from providers.imaging.errors import DiskFileError, NoSpaceError
from providers.imaging.store_place import RESERVE

Format = Literal["raw", "qcow2", "vmdk", "vhdx"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SIGNS: tuple[tuple[bytes, Format], ...] = (
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"vhdxfile", "vhdx"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"<<< ", "a disk of VirtualBox (vdi)"),
    (b"conectix", "a virtual hard disk (vhd)"),
    (b"QED\0", "a disk of QEMU's format qed"),
    (b"WithoutFreeSpace", "a disk of Parallels"),
    (b"WithouFreSpacExt", "a disk of Parallels"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"BZh", "packed by bzip2"),
    (b"PK\3\4", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
"""What is no disk as it stands, by its first bytes; of a fixed vhd by those of its last sector."""
_KINDS = {
    "a directory": stat.S_ISDIR,
    "a block device": stat.S_ISBLK,
    "a character device": stat.S_ISCHR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
}
_SECTOR = 512
_LARGEST_DISK = 1 << 60
_HEADER = 104
_EXTERNAL_DATA = 1 << 2
_MOST_NAME = 1023
_FLATTEN = "Make one file of it where it comes from: `qemu-img convert -O qcow2 DISK NEW`"
_NAME_FORMAT = "Name its format with --format"
_UNPACK = (
    "Unpack it, or make a disk of it: `qemu-img convert -O qcow2 DISK NEW`. With --format raw it "
    "is taken as it is"
)


def format_of(file: Path, said: str) -> Format:
    """Return the format of a file: ``said``, or by its first bytes where that is ``auto``.

    DiskFileError where its first bytes are of another format, or it refers to other files.
    """
    with file.open("rb") as opened:
        header = opened.read(_HEADER)
        found: Format = next((name for sign, name in _SIGNS if header.startswith(sign)), "raw")
        if said not in {"auto", found} and said != "raw":
            raise DiskFileError(file, f"its first bytes are not those of {said}", _NAME_FORMAT)
        if header.startswith(b"# Disk DescriptorFile") and said != "raw":
            problem = "it is a descriptor that refers to other files"
            raise DiskFileError(file, problem, _FLATTEN)
        if said == "auto" and found == "raw":
            _refuse_no_disk(file, header, _last_sector(opened))
        chosen: Format = "raw" if said == "raw" else found
        if chosen == "qcow2":
            opened.seek(0)
            _refuse_other_files_of_qcow2(file, header, opened.read(1 << 20))
    if chosen == "vmdk" and not int.from_bytes(header[12:20], "little"):
        raise DiskFileError(file, "it has only a descriptor, which refers to other files", _FLATTEN)
    return chosen


def _last_sector(opened: BinaryIO) -> bytes:
    opened.seek(max(0, opened.seek(0, SEEK_END) - _SECTOR))
    return opened.read(_SECTOR)


def _refuse_no_disk(file: Path, header: bytes, last: bytes) -> None:
    """Raise DiskFileError for what would become an image of a container, not of its disk."""
    for sign, what in _OTHERS:
        if header.startswith(sign) or (sign == b"conectix" and last.startswith(sign)):
            raise DiskFileError(file, f"it is {what}", _UNPACK)


def _refuse_other_files_of_qcow2(file: Path, header: bytes, beginning: bytes) -> None:
    if len(header) < _HEADER:
        raise DiskFileError(file, "it ends in its header", _FLATTEN)
    version, backing, size = struct.unpack_from(">IQI", header, 4)
    if backing:
        name = beginning[backing : backing + min(size, _MOST_NAME)].decode("utf-8", "replace")
        raise DiskFileError(file, f"it refers to the backing file {name!r}", _FLATTEN)
    features = int.from_bytes(header[72:80], "big") if version > 2 else 0  # noqa: PLR2004
    if features & _EXTERNAL_DATA:
        raise DiskFileError(file, "its data is in another file", _FLATTEN)
    if int.from_bytes(header[32:36], "big"):
        raise DiskFileError(file, "it is encrypted", _FLATTEN)


def require_file(file: Path) -> None:
    """Raise DiskFileError for what is no file that can be read."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR):
            raise DiskFileError(file, "there is no such file", "Name the file of a disk") from error
        problem = f"it cannot be read: {error.strerror}"
        raise DiskFileError(file, problem, "Give this user access to it") from error
    if not stat.S_ISREG(mode):
        kinds = (each for each, is_it in _KINDS.items() if is_it(mode))
        problem = f"it is {next(kinds, 'something else')}, not a file"
        action = "Copy the disk to a file first, and name that: it is read several times"
        raise DiskFileError(file, problem, action)
    if not os.access(file, os.R_OK):
        raise DiskFileError(file, "it cannot be read", "Give this user access to it")


def require_whole(file: Path, raw: Path) -> None:
    """Raise DiskFileError where the partition table of a disk reaches behind its end.

    ``raw`` is the disk that ``file`` holds. So a download that broke off is known before it is
    read; as a disk it would be one of which nothing is understood, and every byte of it be kept.
    """
    size = raw.stat().st_size
    with raw.open("rb") as opened:
        end, what = _end_of_table(partial(_read_padded, opened))
    if end <= size:
        return
    # A boot sector of FAT or NTFS has code where a table has its entries.
    found = blkid.probe(raw, 0, size)
    if found.filesystem and not found.table:
        return
    raise DiskFileError(
        file,
        f"{what} at byte {end:,} of the disk, which has {size:,}: the rest is not there",
        "Fetch or copy it again, and compare sizes. If the rest is zeros that were left out: "
        f"`truncate --size={end}` of the raw disk",
    )


def _end_of_table(read: Reader) -> tuple[int, str]:
    """Return where the last partition ends, or the table itself is said to be, and what that is."""
    reached = 0

    def reading(offset: int, length: int) -> bytes:
        nonlocal reached
        reached = max(reached, offset + length)
        return read(offset, length)

    try:
        slots = read_table(reading, _LARGEST_DISK, _SECTOR).slots
    except TableError:
        is_gpt = b"EFI PART" in read(_SECTOR, _SECTOR)
        return (0 if is_gpt else reached), "its partition table goes on"
    last = max(slots, key=lambda slot: slot.extent.end, default=None)
    return (last.extent.end, f"its partition {last.number} ends") if last else (0, "")


def _read_padded(opened: BinaryIO, offset: int, length: int) -> bytes:
    opened.seek(offset)
    return opened.read(length).ljust(length, b"\0")


def _check(file: Path, file_format: Format) -> None:
    try:
        qemu_img.check(file, file_format)
    except MissingCommandError:
        raise
    except CommandError as error:
        last = error.words.splitlines()[-1].strip()
        problem = f"it is damaged, or not all of it is there: qemu-img says {last}"
        raise DiskFileError(file, problem, "Fetch or copy it again, and compare sizes") from error


@contextmanager
def raw_disk(file: Path, file_format: Format, work: Path) -> Iterator[Path]:
    """Provide the disk as a raw file: the file itself, or a sparse one in ``work``.

    DiskFileError as ``format_of``, and where qemu-img refuses the file; NoSpaceError.
    """
    if file_format == "raw":
        size = file.stat().st_size
        if not size or size % _SECTOR:
            problem = f"{size:,} bytes are no whole number of sectors"
            raise DiskFileError(file, problem, f"Fetch it again if it was cut. {_NAME_FORMAT}")
        yield file
        return
    target = work / "disk.raw"
    try:
        info = qemu_img.info(file, file_format)
        if info.others:
            problem = f"it refers to {', '.join(map(repr, info.others))}"
            raise DiskFileError(file, problem, _FLATTEN)
        _check(file, file_format)
        needed, free = qemu_img.data_size(file, file_format), shutil.disk_usage(work).free
        if free - needed < RESERVE:
            raise NoSpaceError(work, needed, free, RESERVE)
        qemu_img.convert(file, file_format, target, "raw", info.size)
    except MissingCommandError:
        raise
    except CommandError as error:
        raise DiskFileError(file, f"qemu-img says {error.line}", _FLATTEN) from error
    yield target
