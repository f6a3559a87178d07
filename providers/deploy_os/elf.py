"""What the build needs to know of ELF files (System V ABI, 64-bit little-endian).

Pure, over bytes. A file that is not such an ELF file gives None or nothing.
"""

import struct
from dataclasses import dataclass

_MAGIC = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC_ENTRY = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB = 1, 5


class MalformedElfError(ValueError):
    """The file starts like an ELF file but does not hold what its headers promise."""


@dataclass(frozen=True, slots=True)
class Linkage:
    """What a program or library is linked against: sonames and the loader's path."""

    needed: tuple[str, ...]
    interpreter: str


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def linkage(data: bytes) -> Linkage | None:
    """Return what ``data`` is linked against, None when it is no ELF file."""
    if not data.startswith(_MAGIC):
        return None
    try:
        segments = _segments(data)
        interpreter = ""
        needed: tuple[str, ...] = ()
        for segment in segments:
            if segment.kind == _PT_INTERP:
                interpreter = _string(data, segment.offset)
            elif segment.kind == _PT_DYNAMIC:
                needed = _needed(data, segment, segments)
    except (struct.error, ValueError) as error:
        raise MalformedElfError(f"malformed ELF file: {error}") from error
    return Linkage(needed, interpreter)


def section(data: bytes, wanted: str) -> bytes:
    """Return the contents of the section named ``wanted``, empty when there is none."""
    if not data.startswith(_MAGIC):
        return b""
    try:
        header = _HEADER.unpack_from(data)
        offset, size, count, names = header[6], header[11], header[12], header[13]
        headers = [
            _SECTION_HEADER.unpack_from(data, offset + index * size) for index in range(count)
        ]
        for entry in headers:
            if _string(data, headers[names][4] + entry[0]) == wanted:
                return data[entry[4] : entry[4] + entry[5]]
    except (struct.error, ValueError, IndexError) as error:
        raise MalformedElfError(f"malformed ELF file: {error}") from error
    return b""


def without_sections(data: bytes) -> bytes:
    """Return a library without what the loader never reads: symbols and debug information.

    Everything behind the last loaded segment goes, and the section table with it.
    Not for kernel modules: the kernel reads their sections, and they are signed.
    """
    if not data.startswith(_MAGIC):
        return data
    try:
        segments = _segments(data)
        header = list(_HEADER.unpack_from(data))
    except struct.error as error:
        raise MalformedElfError(f"malformed ELF file: {error}") from error
    end = max((s.offset + s.size for s in segments if s.kind == _PT_LOAD), default=0)
    if not end:
        return data
    header[6] = header[12] = header[13] = 0
    return _HEADER.pack(*header) + data[_HEADER.size : end]


def _segments(data: bytes) -> list[_Segment]:
    header = _HEADER.unpack_from(data)
    offset, size, count = header[5], header[9], header[10]
    fields = [_PROGRAM_HEADER.unpack_from(data, offset + index * size) for index in range(count)]
    return [_Segment(kind=f[0], offset=f[2], address=f[3], size=f[5]) for f in fields]


def _needed(data: bytes, dynamic: _Segment, segments: list[_Segment]) -> tuple[str, ...]:
    entries = list(_DYNAMIC_ENTRY.iter_unpack(data[dynamic.offset : dynamic.offset + dynamic.size]))
    tables = [value for tag, value in entries if tag == _DT_STRTAB]
    if not tables:
        return ()
    strings = _file_offset(tables[0], segments)
    return tuple(_string(data, strings + value) for tag, value in entries if tag == _DT_NEEDED)


def _file_offset(address: int, segments: list[_Segment]) -> int:
    for segment in segments:
        start = segment.address
        if segment.kind == _PT_LOAD and start <= address < start + segment.size:
            return segment.offset + address - start
    raise ValueError(f"address {address:#x} is in no loaded segment")


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode("ascii")
