"""Where the files of a FAT or exFAT file system lie, read from its directories. Pure.

The restore test asks this of a replayed image and compares it with what the image
holds. A capture asks the allocation table or the bitmap instead (``agent.imaging.fat``,
``agent.imaging.exfat``). The two share no code, boot sector included, so that a
mistake in one of them is seen: a file of which the image lacks a cluster, or whose
chain ends too early, cannot be restored whole.

Sources: Microsoft, FAT32 File System Specification 1.03; exFAT file system
specification.
"""

import struct
from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from agent.imaging.extent import Extent

Place = tuple[str, Extent]
"""A path of a file or folder, which ends with ``/``, and a part of its bytes on the volume."""

OWN_FILES = ("(bitmap)", "(upcase table)")
"""What exFAT keeps like files, but for itself."""

_ENTRY = 32
_MOST_FOLDERS = 1 << 22
_FOLDER = 0x10


class UnreadableFilesError(Exception):
    """A file or folder does not lie where its directory entry says; the text says which."""


@frozen
class _Heap:
    """Clusters numbered from 2, and the table that says which follows which."""

    volume: memoryview
    start: int
    cluster: int
    clusters: int
    follower: Callable[[int], int]
    end_mark: int
    """Followers from this number on say that the chain ends."""

    def chain(self, path: str, first: int) -> Iterator[int]:
        """Yield the clusters of a chain. Raises UnreadableFilesError where it is broken."""
        number = first
        for _ in range(self.clusters):
            if not 2 <= number < self.clusters + 2:  # noqa: PLR2004 - the first cluster
                raise UnreadableFilesError(f"{path}: its chain leads to cluster {number}")
            yield number
            number = self.follower(number)
            if number >= self.end_mark:
                return
        raise UnreadableFilesError(f"{path}: its chain does not end")

    def extent(self, number: int, count: int = 1) -> Extent:
        """Return where ``count`` clusters lie from ``number`` on."""
        return Extent(self.start + (number - 2) * self.cluster, count * self.cluster)

    def part(self, extents: list[Extent]) -> bytes:
        """Return the bytes of the extents, one after the other."""
        return b"".join(self.volume[extent.offset : extent.end] for extent in extents)


def places(filesystem: str, volume: memoryview) -> Iterator[Place]:
    """Yield every part of every file and folder of a ``vfat`` or ``exfat`` volume.

    Raises UnreadableFilesError where directories and allocation contradict each other.
    """
    try:
        yield from READERS[filesystem](volume)
    except (struct.error, IndexError, ZeroDivisionError) as error:
        raise UnreadableFilesError("its structure cannot be read") from error


def _runs(heap: _Heap, numbers: Iterator[int]) -> list[Extent]:
    """Return the clusters as extents, neighbours as one."""
    runs: list[Extent] = []
    for number in numbers:
        extent = heap.extent(number)
        if runs and runs[-1].end == extent.offset:
            runs[-1] = Extent(runs[-1].offset, runs[-1].length + extent.length)
        else:
            runs.append(extent)
    return runs


def _long_enough(path: str, runs: list[Extent], length: int) -> list[Extent]:
    held = sum(run.length for run in runs)
    if held < length:
        raise UnreadableFilesError(f"{path}: it has {length} bytes, its clusters hold {held}")
    return runs


def _fat(volume: memoryview) -> Iterator[Place]:
    sector, per_cluster = int.from_bytes(volume[11:13], "little"), volume[13]
    reserved, tables = int.from_bytes(volume[14:16], "little"), volume[16]
    root_length = int.from_bytes(volume[17:19], "little") * _ENTRY
    sectors = int.from_bytes(volume[19:21], "little") or int.from_bytes(volume[32:36], "little")
    table_size = int.from_bytes(volume[22:24], "little")
    wide = table_size == 0
    table_size = table_size or int.from_bytes(volume[36:40], "little")
    root = (reserved + tables * table_size) * sector
    start = root + -(-root_length // sector) * sector
    clusters = (sectors * sector - start) // (per_cluster * sector)
    table = volume[reserved * sector : (reserved + table_size) * sector]

    def twelve(number: int) -> int:
        pair = table[number + number // 2] | table[number + number // 2 + 1] << 8
        return pair >> 4 if number % 2 else pair & 0xFFF

    def sixteen(number: int) -> int:
        return int.from_bytes(table[2 * number : 2 * number + 2], "little")

    def thirty_two(number: int) -> int:
        return int.from_bytes(table[4 * number : 4 * number + 4], "little") & 0x0FFFFFFF

    if wide:
        follower, end_mark = thirty_two, 0x0FFFFFF8
    elif clusters > 4084:  # noqa: PLR2004 - as many as FAT12 can have
        follower, end_mark = sixteen, 0xFFF8
    else:
        follower, end_mark = twelve, 0xFF8
    heap = _Heap(volume, start, per_cluster * sector, clusters, follower, end_mark)
    if wide:
        runs = _runs(heap, heap.chain("/", int.from_bytes(volume[44:48], "little")))
        yield from (("/", run) for run in runs)
        yield from _fat_folder(heap, heap.part(runs), wide=True)
    else:
        content = bytes(volume[root : root + root_length])
        yield from _fat_folder(heap, content, wide=False)


def _fat_folder(heap: _Heap, content: bytes, *, wide: bool) -> Iterator[Place]:
    """Yield the places of what a folder and those below it contain."""
    waiting, seen = [("/", content)], 0
    while waiting:
        folder, content = waiting.pop()
        for name, attributes, first, length in _fat_entries(content, wide=wide):
            path = folder + name
            if not first:
                if length:
                    raise UnreadableFilesError(f"{path}: it has {length} bytes and no cluster")
                continue
            runs = _long_enough(path, _runs(heap, heap.chain(path, first)), length)
            is_folder = bool(attributes & _FOLDER)
            yield from ((path + "/" * is_folder, run) for run in runs)
            if is_folder:
                seen = _counted(seen)
                waiting.append((path + "/", heap.part(runs)))


def _counted(seen: int) -> int:
    if seen > _MOST_FOLDERS:
        raise UnreadableFilesError("folders contain each other")
    return seen + 1


def _fat_entries(content: bytes, *, wide: bool) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, attributes, first cluster and length of files and folders."""
    deleted, label, long_name = 0xE5, 0x08, 0x0F
    for place in range(0, len(content), _ENTRY):
        entry = content[place : place + _ENTRY]
        if entry[0] == 0:
            return
        attributes = entry[11]
        if entry[0] in (deleted, ord(".")) or attributes & 0x3F == long_name or attributes & label:
            continue
        high, low, length = struct.unpack_from("<H4xHI", entry, 20)
        base, extension = (_shown(part) for part in (entry[:8], entry[8:11]))
        name = f"{base}.{extension}" if extension else base
        yield name, attributes, low | high << 16 if wide else low, length


def _shown(raw: bytes) -> str:
    text = raw.decode("cp437").rstrip()
    return "".join(char if char.isprintable() else "?" for char in text)


def _exfat(volume: memoryview) -> Iterator[Place]:
    (table,) = struct.unpack_from("<I", volume, 80)
    start, clusters, root = struct.unpack_from("<III", volume, 88)
    sector = 1 << volume[108]
    cluster = sector << volume[109]

    def follower(number: int) -> int:
        place = table * sector + 4 * number
        return int.from_bytes(volume[place : place + 4], "little")

    heap = _Heap(volume, start * sector, cluster, clusters, follower, 0xFFFFFFF8)
    runs = _runs(heap, heap.chain("/", root))
    yield from (("/", run) for run in runs)
    waiting, seen = [("/", heap.part(runs))], 0
    while waiting:
        folder, content = waiting.pop()
        for name, is_folder, streams in _exfat_entries(content):
            path = folder + name
            for index, (first, length, contiguous) in enumerate(streams):
                numbers = (
                    iter(range(first, first + -(-length // cluster)))
                    if contiguous
                    else heap.chain(path, first)
                )
                runs = _long_enough(path, _runs(heap, numbers), length)
                yield from ((path + "/" * is_folder, run) for run in runs)
                if is_folder and index == 0:
                    seen = _counted(seen)
                    waiting.append((path + "/", heap.part(runs)[:length]))


Stream = tuple[int, int, bool]
"""First cluster, bytes, and whether the clusters follow each other without a chain."""


def _exfat_entries(content: bytes) -> Iterator[tuple[str, bool, list[Stream]]]:
    """Yield name, whether it is a folder, and streams of files, folders and system files."""
    system = dict(zip((0x81, 0x82), OWN_FILES, strict=True))
    file, name_part = 0x85, 0xC1
    entries = [content[place : place + _ENTRY] for place in range(0, len(content), _ENTRY)]
    index = 0
    while index < len(entries) and entries[index][0]:
        entry = entries[index]
        index += 1
        if entry[0] in system:
            first, length = struct.unpack_from("<IQ", entry, 20)
            yield system[entry[0]], False, [(first, length, False)]
        if entry[0] != file:
            continue
        secondary = entries[index : index + entry[1]]
        index += entry[1]
        (attributes,) = struct.unpack_from("<H", entry, 4)
        name = b"".join(part[2:32] for part in secondary if part[0] == name_part)
        text = name.decode("utf-16-le", "replace").partition("\0")[0]
        streams = [
            (first, length, bool(part[1] & 0x2))
            for part in secondary
            if part[0] & 0x80 and part[1] & 0x1
            for first, length in [struct.unpack_from("<IQ", part, 20)]
            if first and length
        ]
        shown = "".join(char if char.isprintable() else "?" for char in text)
        yield shown, bool(attributes & _FOLDER), streams


READERS: Mapping[str, Callable[[memoryview], Iterator[Place]]] = {"vfat": _fat, "exfat": _exfat}
"""File systems, as blkid names them, whose files can be found here."""
