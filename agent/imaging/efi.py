"""UEFI boot entries: what they say, and what a restore changes in them. Pure.

The firmware keeps each entry as an ``EFI_LOAD_OPTION`` in a variable ``Boot####`` and the order
in ``BootOrder`` (UEFI specification 2.10, sections 3.1.3, 3.3 and 10.3).
"""

import struct
import uuid
from collections.abc import Collection, Mapping, Sequence

from attrs import frozen

_ACTIVE = 0x1
_MESSAGING, _MEDIA, _END = 3, 4, 0x7F
_HARD_DRIVE, _FILE_PATH = 1, 4
_END_OF_PATH = struct.pack("<BBH", _END, 0xFF, 4)
_NODE_HEADER = 4
_GPT_FORMAT, _GPT_SIGNATURE = 2, 2
_NETWORK_NODES = frozenset(((_MESSAGING, 11), (_MESSAGING, 12), (_MESSAGING, 13), (_MESSAGING, 24)))
"""MAC address, IPv4, IPv6 and URI."""
_BIOS_NETWORK = (5, b"\x80")
_MAX_NUMBER = 0xFFFF


@frozen
class LoadOption:
    """What an entry starts. ``partition`` and ``loader`` are empty where it is no file on a GPT."""

    label: str
    active: bool
    partition: str
    """GUID."""
    loader: str
    network: bool

    @property
    def target(self) -> tuple[str, str] | None:
        """Partition and loader, which FAT finds in upper and lower case; None where it has none."""
        if not (self.partition and self.loader):
            return None
        return self.partition, self.loader.lower()


@frozen
class WantedEntry:
    """An entry to write: a file on a GPT partition. Sectors."""

    label: str
    number: int
    start: int
    size: int
    partition: str
    loader: str

    @property
    def target(self) -> tuple[str, str]:
        """As of a ``LoadOption``."""
        return self.partition, self.loader.lower()


@frozen
class BootChanges:
    """What to write to make entries and order right; in this order, nothing is ever missing."""

    writes: Mapping[int, bytes]
    """Load options by the number of their entry."""
    order: tuple[int, ...] | None
    """The new order; None where it stays."""
    removals: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether all is as it should be."""
        return not self.writes and not self.removals and self.order is None


def parse_load_option(data: bytes) -> LoadOption | None:
    """Return what an EFI_LOAD_OPTION says; None where it is malformed."""
    try:
        attributes, paths_length = struct.unpack_from("<IH", data)
        label, position = _utf16(data, 6)
        paths = data[position : position + paths_length]
        guid, loader, network = "", "", False
        while len(paths) >= _NODE_HEADER:
            kind, subtype, length = struct.unpack_from("<BBH", paths)
            if kind == _END or length < _NODE_HEADER:
                break
            node, paths = paths[:length], paths[length:]
            if (kind, subtype) == (_MEDIA, _HARD_DRIVE) and node[41] == _GPT_SIGNATURE:
                guid = str(uuid.UUID(bytes_le=node[24:40]))
            elif (kind, subtype) == (_MEDIA, _FILE_PATH):
                loader += _utf16(node, _NODE_HEADER)[0]
            elif (kind, subtype) in _NETWORK_NODES or (kind, node[4:5]) == _BIOS_NETWORK:
                network = True
    except (struct.error, ValueError, IndexError):
        return None
    return LoadOption(label, bool(attributes & _ACTIVE), guid, loader, network)


def build_load_option(wanted: WantedEntry) -> bytes:
    """Return the active EFI_LOAD_OPTION of an entry: HD() node, path of the file, end."""
    drive = struct.pack("<IQQ", wanted.number, wanted.start, wanted.size)
    drive += uuid.UUID(wanted.partition).bytes_le + bytes((_GPT_FORMAT, _GPT_SIGNATURE))
    paths = _node(_HARD_DRIVE, drive) + _node(_FILE_PATH, _text(wanted.loader)) + _END_OF_PATH
    return struct.pack("<IH", _ACTIVE, len(paths)) + _text(wanted.label) + paths


def planned_changes(
    existing: Mapping[int, bytes],
    order: Sequence[int],
    current: int | None,
    wanted: Sequence[WantedEntry],
    overwritten: Collection[str],
) -> BootChanges:
    """Return what makes the firmware start what is wanted, without a change of what else it has.

    ``existing`` are load options by number, ``current`` is the entry that booted now.
    ``overwritten`` are the GUIDs of partitions that are no more: entries for them are removed,
    and so are second ones with a wanted partition and loader. An active entry that is wanted
    stays as it is. In the order it keeps its place before ``current``; all others go right behind
    that, and behind the network entries that follow: a machine that asks the network first goes
    on doing so. Where ``current`` has no place, they go behind the network entries that are first.
    """
    options = {number: parse_load_option(data) for number, data in existing.items()}
    chosen: dict[tuple[str, str], int] = {}
    writes: dict[int, bytes] = {}
    for entry in wanted:
        if entry.target in chosen:
            continue
        same = [n for n, option in options.items() if option and option.target == entry.target]
        same.sort(key=lambda number: _rank(number, order, options[number]))
        number = same[0] if same else _free_number({*existing, *writes, *order})
        chosen[entry.target] = number
        option = options.get(number)
        if option is None or not option.active:
            writes[number] = build_load_option(entry)
    removals = tuple(
        number
        for number, option in sorted(options.items())
        if option
        and number not in chosen.values()
        and (option.target in chosen or option.partition in overwritten)
    )
    kept = [number for number in dict.fromkeys(order) if number not in removals]
    network = {number for number, option in options.items() if option and option.network}
    new_order = _ordered(kept, current, list(chosen.values()), network)
    return BootChanges(writes, new_order if new_order != tuple(order) else None, removals)


def _rank(number: int, order: Sequence[int], option: LoadOption | None) -> tuple[bool, int, int]:
    """Return what sorts an active entry first, then one that is early in the order."""
    place = order.index(number) if number in order else len(order)
    return not (option and option.active), place, number


def _free_number(taken: Collection[int]) -> int:
    return next(number for number in range(_MAX_NUMBER + 1) if number not in taken)


def _ordered(
    order: list[int], current: int | None, wanted: list[int], network: Collection[int]
) -> tuple[int, ...]:
    place = order.index(current) + 1 if current in order else 0
    while place < len(order) and order[place] in network:
        place += 1
    before = order[:place]
    new = [number for number in wanted if number not in before]
    return (*before, *new, *(number for number in order[place:] if number not in new))


def _node(subtype: int, data: bytes) -> bytes:
    return struct.pack("<BBH", _MEDIA, subtype, _NODE_HEADER + len(data)) + data


def _text(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def _utf16(data: bytes, start: int) -> tuple[str, int]:
    """Return the null-terminated text at ``start`` and the position behind it."""
    end = start
    while data[end : end + 2] not in (b"\0\0", b""):
        end += 2
    return data[start:end].decode("utf-16-le"), end + 2
