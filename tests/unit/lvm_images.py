"""Physical volumes of LVM in pure Python, for tests without any tool or right."""

import struct
import zlib
from collections.abc import Mapping, Sequence

UUID = "abcdef0123456789abcdef0123456789"
SECTOR = 512
AREA_START = 4096
PE_START = 64 << 10
EXTENT = 16 << 10

Value = int | str | Sequence[int | str] | Mapping[str, "Value"]


def crc(data: bytes) -> int:
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def render(entries: Mapping[str, Value]) -> str:
    """Return entries in LVM's text format."""
    lines = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
            lines.append(f"{name} {{\n{render(value)}}}\n")
        elif isinstance(value, int | str):
            lines.append(f"{name} = {_item(value)}\n")
        else:
            lines.append(f"{name} = [{', '.join(map(_item, value))}]\n")
    return "".join(lines)


def _item(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def label(  # noqa: PLR0913 - a header has that many fields
    size: int,
    *,
    uuid: str = UUID,
    data: Sequence[int] = (PE_START,),
    areas: Sequence[tuple[int, int]] = ((AREA_START, PE_START - AREA_START),),
    number: int = 1,
    extension: tuple[int, int] = (2, 1),
) -> bytes:
    """Return the sector with the label and the header of a physical volume."""
    header = uuid.encode() + struct.pack("<Q", size)
    header += b"".join(struct.pack("<QQ", offset, 0) for offset in data) + bytes(16)
    header += b"".join(struct.pack("<QQ", *area) for area in areas) + bytes(16)
    header += struct.pack("<II", *extension)
    checked = struct.pack("<I8s", 32, b"LVM2 001") + header
    checked = checked.ljust(SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", number, crc(checked)) + checked


def area(  # noqa: PLR0913 - its header has that many fields
    text: bytes,
    start: int = AREA_START,
    size: int = PE_START - AREA_START,
    *,
    position: int = SECTOR,
    flags: int = 0,
    exchanged: int = 0,
) -> bytes:
    """Return a metadata area whose text begins at ``position`` and may wrap."""
    ring = bytearray(size)
    for index, byte in enumerate(text):
        ring[SECTOR + (position - SECTOR + index) % (size - SECTOR)] = byte
    places = struct.pack("<QQII", position if text else 0, len(text), crc(text), flags)
    places += struct.pack("<QQII", exchanged, exchanged, 0, 0)
    checked = struct.pack("<16sIQQ", b" LVM2 x[5A%r0N*>", 1, start, size) + places
    checked = checked.ljust(SECTOR - 4, b"\0")
    ring[:SECTOR] = struct.pack("<I", crc(checked)) + checked
    return bytes(ring)


def group_text(name: str, group: Mapping[str, Value]) -> bytes:
    entries = {name: group, "contents": "Text Format Volume Group", "version": 1}
    return render(entries).encode() + b"\0"


def segment(start: int, count: int, *stripes: int | str, size: int = 8) -> dict[str, Value]:
    """Return a striped segment; ``stripes`` are name, first extent, name, first extent …"""
    entries: dict[str, Value] = {"start_extent": start, "extent_count": count, "type": "striped"}
    entries |= {"stripe_count": len(stripes) // 2, "stripes": stripes}
    if len(stripes) > 2:
        entries["stripe_size"] = size
    return entries


def logical(
    *segments: Mapping[str, Value], shown: bool = True, uuid: str = "x"
) -> dict[str, Value]:
    status = ["READ", "WRITE", *(["VISIBLE"] if shown else [])]
    numbered = {f"segment{index + 1}": each for index, each in enumerate(segments)}
    return {"id": uuid, "status": status, "segment_count": len(segments), **numbered}


def group(
    volumes: Mapping[str, Value],
    *,
    extents: int = 100,
    uuid: str = "group",
    seqno: int = 1,
) -> dict[str, Value]:
    """Return a group with one physical volume ``pv0``, the one that ``label`` describes."""
    return {
        "id": uuid,
        "seqno": seqno,
        "status": ["RESIZEABLE", "READ", "WRITE"],
        "extent_size": EXTENT // SECTOR,
        "physical_volumes": {"pv0": physical(UUID, extents)},
        "logical_volumes": volumes,
    }


def physical(uuid: str, extents: int) -> dict[str, Value]:
    return {
        "id": uuid,
        "status": ["ALLOCATABLE"],
        "dev_size": (PE_START + extents * EXTENT) // SECTOR,
        "pe_start": PE_START // SECTOR,
        "pe_count": extents,
    }


def physical_volume(text: bytes, extents: int = 100, slack: int = 0) -> bytes:
    """Return the bytes of a physical volume; ``slack`` bytes lie behind its extents."""
    size = PE_START + extents * EXTENT + slack
    head = bytes(SECTOR) + label(size)
    return (head.ljust(AREA_START, b"\0") + area(text)).ljust(size, b"\0")
