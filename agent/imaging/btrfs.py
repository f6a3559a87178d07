"""Btrfs: which bytes of the device are used, read from its extent tree. Pure.

partclone is not asked about Btrfs: its map lacks the second copy of duplicated
metadata, and tree nodes where there are snapshots. The file system itself keeps a
complete list, from which its own allocator works, and that list is read here.

Addresses. Everything in a Btrfs points to *logical* addresses. A chunk maps a
range of them to one or more *stripes*, which are places on a device. On one
device a chunk has one stripe (``single``) or two with the same content (``DUP``).
Both are kept: a scrub reads both.

The way from the superblock to the list:

1. The superblock lies at 64 KiB. It holds the chunks of the kind ``SYSTEM``, in
   which the chunk tree lies, so that the rest can be found.
2. The chunk tree has one ``CHUNK_ITEM`` for each chunk.
3. The root tree has a ``ROOT_ITEM`` for each tree, also the extent tree.
4. The extent tree has one item for each allocated range, whoever refers to it and
   how often: ``EXTENT_ITEM`` (address, 168, length) for data and for tree nodes of
   old file systems, ``METADATA_ITEM`` (address, 169, level) for tree nodes. Nodes
   of every tree are in it, its own as well, so no other tree is read. Snapshots,
   compression, block group tree and free space tree change nothing in this.

Not in the list, and kept besides: the superblock's copies. The log tree is not in
it either; a file system that has one is refused.

A tree is made of nodes of ``nodesize`` bytes. A node begins with a header; its
level is 0 for leaves, whose items follow as key, place and size of their data.
Above them a node holds keys with the address and generation of a child. Every
node is held against what points to it: address, generation, level and first key.
Its checksum is not, for there are four kinds and none of the usual one in
Python; instead the sum of all ranges has to be what the superblock says is used,
and the restore test runs ``btrfs check --check-data-csum``.

Where anything is not as described here, there is no map. Numbers are
little-endian. Source: btrfs documentation, on-disk format; Linux,
include/uapi/linux/btrfs_tree.h.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from attrs import frozen

from agent.commands.partclone import MapRefusedError, UncleanError
from agent.imaging.extent import Extent, between, merged
from agent.imaging.table import Reader

_SUPERBLOCK = 64 << 10
_SUPERBLOCK_SIZE = 4096
_COPIES = (_SUPERBLOCK, 64 << 20, 256 << 30)
_MAGIC = b"_BHRfS_M"

_KNOWN_FLAGS = 0x1 | 0x2 | (1 << 32)  # written, relocated, a seed; not: being converted
_KNOWN_COMPAT_RO = 0x1 | 0x2 | 0x4 | 0x8  # free space tree, its validity, verity, block group tree
_KNOWN_INCOMPAT = (
    0x1  # mixed backrefs
    | 0x2  # default subvolume
    | 0x4  # data and metadata in the same chunks
    | 0x8  # LZO
    | 0x10  # zstd
    | 0x20  # big metadata
    | 0x40  # extended iref
    | 0x100  # skinny metadata
    | 0x200  # no holes
    | 0x400  # metadata UUID
)

_NODE_SIZES = frozenset(1 << power for power in range(12, 17))
_HEADER = 0x65
_ITEM = struct.Struct("<QBQII")  # key: object, type, offset; place of the data, its size
_POINTER = struct.Struct("<QBQQQ")  # key; address of the child, its generation
_KEY = struct.Struct("<QBQ")
_CHUNK = struct.Struct("<QQQQIIIHH")
_STRIPE = struct.Struct("<QQ16s")
_HIGHEST_LEVEL = 7

_EXTENT_TREE = 2
_FIRST_CHUNK_TREE = 256
_ROOT_ITEM = 132
_EXTENT_ITEM = 168
_METADATA_ITEM = 169
_CHUNK_ITEM = 228
_REFERENCES = frozenset((176, 178, 182, 184, 192))
"""Items of the extent tree that describe ranges which others list: who refers to
an extent (176 to 184), and block groups (192)."""

_KINDS = 0x1 | 0x2 | 0x4  # data, system, metadata
_DUP = 0x20

_Key = tuple[int, int, int]


@frozen
class _Superblock:
    total: int
    """Bytes of the device that the file system takes."""
    used: int
    """Bytes that it says are allocated, each counted once."""
    device: int
    node_size: int
    root: "_Pointer"
    chunk_root: "_Pointer"
    system_chunks: bytes


@frozen
class _Pointer:
    """Where a node lies (a logical address) and what it has to be."""

    address: int
    generation: int
    level: int
    first: _Key | None = None


@frozen
class _Chunk:
    """A range of logical addresses, and where each of its copies begins on the device."""

    logical: Extent
    stripes: tuple[int, ...]


class _Chunks:
    """All chunks that are known, found by logical address."""

    def __init__(self, chunks: Sequence[_Chunk]) -> None:
        self._chunks = sorted(chunks, key=lambda chunk: chunk.logical)
        self._starts = [chunk.logical.offset for chunk in self._chunks]
        for one, two in zip(self._chunks, self._chunks[1:], strict=False):
            _require(one.logical.end <= two.logical.offset, "its chunks overlap")

    def physical(self, extent: Extent) -> Iterator[Extent]:
        """Yield where a range of logical addresses lies, every copy of it."""
        offset, end = extent.offset, extent.end
        while offset < end:
            index = bisect_right(self._starts, offset) - 1
            _require(index >= 0, f"no chunk holds its address {offset}")
            chunk = self._chunks[index]
            inside = offset - chunk.logical.offset
            length = min(end, chunk.logical.end) - offset
            _require(length > 0, f"no chunk holds its address {offset}")
            yield from (Extent(stripe + inside, length) for stripe in chunk.stripes)
            offset += length


def used(read: Reader, size: int) -> tuple[Extent, ...]:
    """Return the used extents of the Btrfs on a device of ``size`` bytes.

    What lies behind the file system's end counts as used. Raises MapRefusedError
    with the reason where there is no safe answer.
    """
    superblock = _superblock(read, size)
    try:
        return _used(read, size, superblock)
    except (struct.error, IndexError) as error:
        raise MapRefusedError("its trees cannot be read") from error


def _used(read: Reader, size: int, superblock: _Superblock) -> tuple[Extent, ...]:
    chunks = _Chunks(list(_system_chunks(superblock)))
    tree = _Trees(read, superblock.node_size, chunks)
    found = [
        _chunk(superblock, key[2], data)
        for key, data in tree.items(superblock.chunk_root)
        if key[:2] == (_FIRST_CHUNK_TREE, _CHUNK_ITEM)
    ]
    chunks = _Chunks(found)
    tree = _Trees(read, superblock.node_size, chunks)
    allocated = _allocated(tree, _extent_root(tree, superblock.root), superblock.node_size)
    total = sum(extent.length for extent in allocated)
    _require(
        total == superblock.used,
        f"{total} bytes are allocated in it, its superblock says {superblock.used}",
    )
    kept = [Extent(copy, _SUPERBLOCK_SIZE) for copy in _COPIES if copy + _SUPERBLOCK_SIZE <= size]
    kept += [place for extent in allocated for place in chunks.physical(extent)]
    kept.append(between(superblock.total, size))
    return merged(kept)


def _require(condition: bool, reason: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not condition:
        raise MapRefusedError(reason)


def _superblock(read: Reader, size: int) -> _Superblock:
    raw = read(_SUPERBLOCK, _SUPERBLOCK_SIZE)
    _require(raw[0x40:0x48] == _MAGIC, "its superblock is not at the usual place")
    address, flags = struct.unpack_from("<QQ", raw, 0x30)
    generation, root, chunk_root, log_root = struct.unpack_from("<QQQQ", raw, 0x48)
    (bytes_used,) = struct.unpack_from("<Q", raw, 0x78)
    (devices,) = struct.unpack_from("<Q", raw, 0x88)
    (node_size,) = struct.unpack_from("<I", raw, 0x94)
    array_size, chunk_generation = struct.unpack_from("<IQ", raw, 0xA0)
    compat_ro, incompat = struct.unpack_from("<QQ", raw, 0xB4)
    root_level, chunk_level = raw[0xC6], raw[0xC7]
    device, total = struct.unpack_from("<QQ", raw, 0xC9)
    _require(devices == 1, f"it spans {devices} devices")
    if log_root:
        raise UncleanError(
            "its log tree holds changes that are not in the file system yet: "
            "mount it once and unmount it"
        )
    unknown = (compat_ro & ~_KNOWN_COMPAT_RO, incompat & ~_KNOWN_INCOMPAT, flags & ~_KNOWN_FLAGS)
    _require(
        not any(unknown),
        "it has features that the map is not known to cover (compat_ro {:#x}, incompat {:#x}, "
        "flags {:#x})".format(*unknown),
    )
    _require(address == _SUPERBLOCK and node_size in _NODE_SIZES, "its superblock is damaged")
    _require(total <= size, f"it has {total} bytes, the partition {size}")
    return _Superblock(
        total=total,
        used=bytes_used,
        device=device,
        node_size=node_size,
        root=_Pointer(root, generation, root_level),
        chunk_root=_Pointer(chunk_root, chunk_generation, chunk_level),
        system_chunks=raw[0x32B : 0x32B + array_size],
    )


def _system_chunks(superblock: _Superblock) -> Iterator[_Chunk]:
    """Yield the chunks that the superblock itself lists: keys, each with its chunk."""
    rest = superblock.system_chunks
    while rest:
        key = _KEY.unpack_from(rest)
        _require(key[1] == _CHUNK_ITEM, "its list of system chunks is damaged")
        data = rest[_KEY.size :]
        yield _chunk(superblock, key[2], data)
        stripes = _CHUNK.unpack_from(data)[7]
        rest = data[_CHUNK.size + stripes * _STRIPE.size :]


def _chunk(superblock: _Superblock, logical: int, data: bytes) -> _Chunk:
    length, _owner, _stripe, kind, _, _, _, count, _ = _CHUNK.unpack_from(data)
    profile = kind & ~_KINDS
    _require(profile in (0, _DUP), f"it spreads data by a profile ({profile:#x}) with no map")
    stripes = []
    for index in range(count):
        device, offset, _uuid = _STRIPE.unpack_from(data, _CHUNK.size + index * _STRIPE.size)
        _require(device == superblock.device, "a part of it lies on another device")
        _require(offset + length <= superblock.total, "a part of it lies behind its end")
        stripes.append(offset)
    _require(len(stripes) == (2 if profile else 1), "a chunk has too many or too few copies")
    return _Chunk(Extent(logical, length), tuple(stripes))


class _Trees:
    """Reads trees whose nodes lie in ``chunks``."""

    def __init__(self, read: Reader, node_size: int, chunks: _Chunks) -> None:
        self._read = read
        self._size = node_size
        self._chunks = chunks

    def items(self, root: _Pointer) -> Iterator[tuple[_Key, bytes]]:
        """Yield key and data of every item in the order of the keys."""
        for node in self.leaves(root):
            for *key, place, size in self.keys(node):
                start = _HEADER + place
                yield (key[0], key[1], key[2]), node[start : start + size]

    def keys(self, leaf: bytes) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield the leaf's items: the key's three numbers, place and size of the data."""
        count = _count(leaf)
        return _ITEM.iter_unpack(memoryview(leaf)[_HEADER : _HEADER + count * _ITEM.size])

    def leaves(self, pointer: _Pointer) -> Iterator[bytes]:
        """Yield the leaves below a node from left to right."""
        node = self._node(pointer)
        if pointer.level == 0:
            yield node
            return
        last: _Key | None = None
        for index in range(_count(node)):
            entry = _POINTER.unpack_from(node, _HEADER + index * _POINTER.size)
            key = entry[:3]
            _require(last is None or last < key, "a tree is out of order")
            last = key
            yield from self.leaves(_Pointer(entry[3], entry[4], pointer.level - 1, key))

    def _node(self, pointer: _Pointer) -> bytes:
        """Return the first copy of a node that is what its pointer says."""
        for place in self._chunks.physical(Extent(pointer.address, self._size)):
            node = self._read(place.offset, place.length)
            if len(node) == self._size and _fits(node, pointer):
                return node
        raise MapRefusedError(f"its tree node at {pointer.address} is damaged")


def _count(node: bytes) -> int:
    return int.from_bytes(node[0x60:0x64], "little")


def _fits(node: bytes, pointer: _Pointer) -> bool:
    (address,) = struct.unpack_from("<Q", node, 0x30)
    (generation,) = struct.unpack_from("<Q", node, 0x50)
    entry = _POINTER if pointer.level else _ITEM
    return (
        (address, generation, node[0x64]) == (pointer.address, pointer.generation, pointer.level)
        and pointer.level <= _HIGHEST_LEVEL
        and _count(node) <= (len(node) - _HEADER) // entry.size
        and pointer.first in (None, _KEY.unpack_from(node, _HEADER))
    )


def _extent_root(tree: _Trees, root: _Pointer) -> _Pointer:
    for key, data in tree.items(root):
        if key == (_EXTENT_TREE, _ROOT_ITEM, 0):
            (generation,) = struct.unpack_from("<Q", data, 160)
            (address,) = struct.unpack_from("<Q", data, 176)
            return _Pointer(address, generation, data[238])
    raise MapRefusedError("its root tree names no extent tree")


def _allocated(tree: _Trees, root: _Pointer, node_size: int) -> tuple[Extent, ...]:
    """Return the allocated ranges of logical addresses, neighbours as one."""
    runs: list[Extent] = []
    start = end = 0
    for leaf in tree.leaves(root):
        for address, kind, offset, _place, _size in tree.keys(leaf):
            if kind == _METADATA_ITEM:
                length = node_size
            elif kind == _EXTENT_ITEM:
                length = offset
            elif kind in _REFERENCES:
                continue
            else:
                raise MapRefusedError(f"its extent tree has items of an unknown kind ({kind})")
            _require(length > 0 and address >= end, "allocated ranges overlap in it")
            if address > end:
                runs.append(between(start, end))
                start = address
            end = address + length
    runs.append(between(start, end))
    return tuple(run for run in runs if run.length)
