"""How an inventory's sections are stored: sets of bits, and rows. Pure.

A fleet has some hundred thousand versions of packages at most, and machines share nearly all of
theirs. One bit for each, compressed, takes one or two kilobytes for a machine with 2,000
packages, and two sets are compared at once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import zstandard

from agent.wire.inventory import Row

SHARED = ("packages", "applications", "hotfixes")
"""Sections whose entries many machines have in common, and for which one searches."""
VERSION_AT = {"packages": 2, "applications": 1}
"""Where the version is in a row."""
_MOST_UNPACKED = 64 << 20
_BYTE = 8


def item_digest(section: str, row: str) -> str:
    """Return what tells an item from all others."""
    return sha256(f"{section}\n{row}".encode()).hexdigest()[:32]


def row_text(row: Row) -> str:
    """Return a row as it is stored."""
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


def row_from(text: str) -> Row:
    """Return a row from its text."""
    return tuple(json.loads(text))


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Return the rows of a section that is not shared."""
    return _pack(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode())


def unpack_rows(body: bytes) -> tuple[Row, ...]:
    """Return the rows."""
    return tuple([tuple(row) for row in json.loads(_unpack(body))])


def bits_of(ids: Iterable[int]) -> int:
    """Return a set of ids as bits of one number."""
    chosen = list(ids)
    found = bytearray(max(chosen, default=0) // _BYTE + 1)
    for each in chosen:
        found[each // _BYTE] |= 1 << each % _BYTE
    return int.from_bytes(found, "little")


def ids_of(bits: int) -> Iterator[int]:
    """Yield the ids in a set, the smallest first."""
    for place, byte in enumerate(bits.to_bytes(bits.bit_length() // _BYTE + 1, "little")):
        if byte:
            yield from (place * _BYTE + bit for bit in range(_BYTE) if byte >> bit & 1)


def pack_bits(bits: int) -> bytes:
    """Return a set as it is stored."""
    return _pack(bits.to_bytes(bits.bit_length() // _BYTE + 1, "little"))


def unpack_bits(body: bytes) -> int:
    """Return the set."""
    return int.from_bytes(_unpack(body), "little")


def _pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _unpack(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body, max_output_size=_MOST_UNPACKED)
