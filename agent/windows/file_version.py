"""The version that a program's file says of itself: VS_FIXEDFILEINFO of a PE file.

Sources: Microsoft, "PE Format" (headers, section table, resource directory) and
"VS_FIXEDFILEINFO". Reads headers and one resource, some hundred bytes of a file of any size;
every count and size is bounded, so that a made-up file costs nothing.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

_DOS_HEADER = 64
_PE_OFFSET = 0x3C
_MOST_SECTIONS = 96  # what the loader of Windows takes
_MOST_ENTRIES = 4096
_MOST_VERSION = 64 << 10
_RESOURCES = 2  # in the data directories
_RT_VERSION = 16
_PE32, _PE32_PLUS = 0x10B, 0x20B
_DIRECTORIES = {_PE32: 96, _PE32_PLUS: 112}  # where they are in the optional header
_SUBDIRECTORY = 0x8000_0000
_NAMED = 0x8000_0000
_FIXED_SIGNATURE = b"\xbd\x04\xef\xfe"
_FIXED_SIZE = 52
_LEVELS = 3  # type, name, language


class FileVersionError(ValueError):
    """A file that is no PE file, or has no version."""


@frozen
class _Section:
    address: int
    size: int
    offset: int


def file_version(path: Path) -> str:
    """Return ``MAJOR.MINOR.BUILD.REVISION``; empty where the file has none. Raises OSError."""
    with path.open("rb") as file:
        try:
            return read_version(file)
        except FileVersionError:
            return ""


def read_version(file: BinaryIO) -> str:
    """Return the version in an open PE file; FileVersionError where it has none."""
    start, sections = _resources(file)
    offset = 0
    for level in range(_LEVELS):
        offset = _entry(file, start + offset, _RT_VERSION if level == 0 else None)
        if bool(offset & _SUBDIRECTORY) != (level < _LEVELS - 1):
            raise FileVersionError("the resource directory has another depth")
        offset &= ~_SUBDIRECTORY
    address, size = struct.unpack("<II", _at(file, start + offset, 8))
    return fixed_version(_at(file, _place(sections, address), min(size, _MOST_VERSION), short=True))


def fixed_version(resource: bytes) -> str:
    """Return the version in a VS_VERSIONINFO; FileVersionError where it has none."""
    place = resource.find(_FIXED_SIGNATURE)
    fixed = resource[place : place + _FIXED_SIZE]
    if place < 0 or len(fixed) < _FIXED_SIZE:
        raise FileVersionError("there is no VS_FIXEDFILEINFO")
    high, low = struct.unpack_from("<II", fixed, 8)
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"


def _resources(file: BinaryIO) -> tuple[int, list[_Section]]:
    """Return where the resource directory is in the file, and the sections."""
    head = _at(file, 0, _DOS_HEADER)
    if not head.startswith(b"MZ"):
        raise FileVersionError("it does not begin with MZ")
    place = int(struct.unpack_from("<I", head, _PE_OFFSET)[0])
    signature, count, optional_size = struct.unpack("<4s2xH12xH2x", _at(file, place, 24))
    if signature != b"PE\0\0" or count > _MOST_SECTIONS:
        raise FileVersionError("it has no PE header")
    optional = _at(file, place + 24, optional_size)
    table = _at(file, place + 24 + optional_size, 40 * count)
    sections = [
        _Section(address, max(virtual, size), offset)
        for virtual, address, size, offset in struct.iter_unpack("<8x4I16x", table)
    ]
    try:
        directories = _DIRECTORIES[struct.unpack_from("<H", optional)[0]]
        (directory_count,) = struct.unpack_from("<I", optional, directories - 4)
        address, _ = struct.unpack_from("<II", optional, directories + 8 * _RESOURCES)
    except (KeyError, struct.error) as error:
        raise FileVersionError("its optional header is of no known kind") from error
    if directory_count <= _RESOURCES or not address:
        raise FileVersionError("it has no resources")
    return _place(sections, address), sections


def _entry(file: BinaryIO, place: int, wanted: int | None) -> int:
    """Return where the entry with this number leads; without one, the first."""
    named, numbered = struct.unpack("<12xHH", _at(file, place, 16))
    count = named + numbered
    if not 0 < count <= _MOST_ENTRIES:
        raise FileVersionError("a resource directory has no entries, or too many")
    for name, offset in struct.iter_unpack("<II", _at(file, place + 16, 8 * count)):
        if wanted is None or (not name & _NAMED and name == wanted):
            return int(offset)
    raise FileVersionError("it has no version resource")


def _place(sections: list[_Section], address: int) -> int:
    """Return where in the file stands what is loaded at an address."""
    for section in sections:
        if section.address <= address < section.address + section.size:
            return section.offset + address - section.address
    raise FileVersionError(f"no section holds the address {address:#x}")


def _at(file: BinaryIO, place: int, size: int, *, short: bool = False) -> bytes:
    file.seek(place)
    data = file.read(size)
    if len(data) < size and not short:
        raise FileVersionError(f"it ends before {place + size}")
    return data
