"""Small disks and images in pure Python, for tests without any tool or right."""

import hashlib
import os
import struct
import uuid
import zlib
from pathlib import Path

from agent.imaging.chunk import CHUNK_SIZE, digest_of, mask, pack, spans, unpack
from agent.imaging.extent import Extent, aligned
from agent.imaging.manifest import Firmware, ImagedPartition, Manifest
from agent.imaging.table import read_table
from agent.wire.disk import Disk, DiskIdentity

MIB = CHUNK_SIZE
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


def noise(size: int, seed: int = 1) -> bytes:
    """Return the same incompressible bytes every time."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


def gpt_header(position: int, alternate: int, entries: int, sectors: int, array: bytes) -> bytes:
    header = bytearray(
        struct.pack(
            "<8s4sIIIQQQQ16sQIII",
            *(b"EFI PART", b"\0\0\1\0", 92, 0, 0, position, alternate, 34, sectors - 34),
            *(uuid.UUID(int=7).bytes_le, entries, 128, 128, zlib.crc32(array)),
        )
    )
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    return bytes(header).ljust(512, b"\0")


def protective_mbr(sectors: int) -> bytes:
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, sectors - 1)
    return (b"\xfa\x90" * 220 + b"\0" * 6 + entry).ljust(510, b"\0") + b"\x55\xaa"


def write_gpt(path: Path, size: int, partitions: list[tuple[int, int]]) -> None:
    """Partitions are (first, last) sectors of 512 bytes."""
    sectors = size // 512
    array = b"".join(
        struct.pack("<16s16sQQQ72s", LINUX.bytes_le, uuid.UUID(int=n + 1).bytes_le, *span, 0, b"")
        for n, span in enumerate(partitions)
    ).ljust(16384, b"\0")
    with path.open("wb" if not path.exists() else "r+b") as file:
        file.truncate(size)
        file.write(protective_mbr(sectors))
        file.write(gpt_header(1, sectors - 1, 2, sectors, array) + array)
        file.seek((sectors - 33) * 512)
        file.write(array + gpt_header(sectors - 1, 1, sectors - 33, sectors, array))


class MemoryStore:
    """A chunk sink and source that keeps frames in memory."""

    def __init__(self) -> None:
        self.frames: dict[str, bytes] = {}
        self.gets: list[str] = []

    def missing(self, digests: tuple[str, ...]) -> frozenset[str]:
        return frozenset(digests) - self.frames.keys()

    def put(self, digest: str, frame: bytes) -> None:
        self.frames[digest] = frame

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        self.gets.append(digest)
        if checked:
            unpack(self.frames[digest], digest)
        return self.frames[digest]


def image_of(
    path: Path, used: list[Extent], store: MemoryStore, partitions: tuple[ImagedPartition, ...] = ()
) -> Manifest:
    """Return the image of a raw file with the given used extents and its table's sectors."""
    raw = path.read_bytes()
    table = read_table(lambda offset, length: raw[offset : offset + length], len(raw), 512)
    regions = [region.extent for region in table.regions]
    everything = aligned([*used, *regions], 512, len(raw))
    digests = []
    for span in spans(everything, len(raw)):
        content = bytearray(raw[span.offset : span.offset + span.length])
        mask(content, span.ranges)
        digests.append(digest_of(content))
        store.frames[digests[-1]] = pack(content)
    return Manifest(
        disk_size=len(raw),
        sector_size=512,
        table=table.kind,
        firmware=Firmware(bios=True, uefi=False),
        regions=table.regions,
        partitions=partitions,
        used=everything,
        digests=bytes.fromhex("".join(digests)),
    )


def small_gpt_image(folder: Path, size: int = 8 * MIB) -> tuple[Path, Manifest, MemoryStore]:
    """A GPT disk of random bytes of which some extents are used."""
    path = folder / "captured"
    path.write_bytes(noise(size))
    write_gpt(path, size, [(2048, size // 512 - 2049)])
    store = MemoryStore()
    used = [
        Extent(0, MIB),
        Extent(MIB + 4096, 512 * 3),
        Extent(2 * MIB - 512, 1024),
        Extent(4 * MIB, MIB),
        Extent(5 * MIB + 8192, 65536),
    ]
    return path, image_of(path, used, store), store


def described(path: Path, *, sector_size: int = 512, size: int | None = None) -> Disk:
    """Return the file as an inspection would describe it."""
    actual = path.stat().st_size if size is None else size
    return Disk(
        identity=DiskIdentity(wwn="", serial="", path="test", size=actual),
        node=str(path),
        model="",
        sector_size=sector_size,
        table="",
        removable=False,
        read_only=False,
    )


def random_file(path: Path, size: int, seed: int = 9) -> Path:
    path.write_bytes(noise(size, seed))
    return path


def blank_file(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)
    return path


def ignore(_done: int, _total: int) -> None:
    """A progress that nobody looks at."""
