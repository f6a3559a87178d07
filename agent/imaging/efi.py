"""UEFI boot entries (UEFI specification 2.10, sections 3.1.3 and 10.3)."""

import struct
import uuid
from collections.abc import Iterable
from pathlib import Path

from agent.imaging.manifest import BootEntry

_EFIVARS = Path("/sys/firmware/efi/efivars")
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_ATTRIBUTES = 4  # efivarfs puts the variable's attributes before its data
_ACTIVE = 0x1
_MEDIA, _HARD_DRIVE, _FILE_PATH = 4, 1, 4
_END = 0x7F
_GPT_SIGNATURE = 2


def parse_load_option(data: bytes) -> tuple[str, str, str] | None:
    """Return label, partition GUID and loader path of an EFI_LOAD_OPTION.

    None for whatever does not start a file on a GPT partition: network, shell,
    inactive or malformed entries.
    """
    try:
        attributes, paths_length = struct.unpack_from("<IH", data)
        label, position = _utf16(data, 6)
        paths = data[position : position + paths_length]
        guid, loader = "", ""
        while len(paths) >= 4:  # noqa: PLR2004 - a node's header
            kind, subtype, length = struct.unpack_from("<BBH", paths)
            if kind == _END or length < 4:  # noqa: PLR2004
                break
            node, paths = paths[:length], paths[length:]
            if (kind, subtype) == (_MEDIA, _HARD_DRIVE) and node[41] == _GPT_SIGNATURE:
                guid = str(uuid.UUID(bytes_le=node[24:40]))
            elif (kind, subtype) == (_MEDIA, _FILE_PATH):
                loader += _utf16(node, 4)[0]
    except (struct.error, ValueError, IndexError):
        return None
    return (label, guid, loader) if guid and loader and attributes & _ACTIVE else None


def boot_entries(
    partitions: Iterable[tuple[int, str]], *, efivars: Path = _EFIVARS
) -> tuple[BootEntry, ...]:
    """Return this machine's entries that start something on the given partitions.

    ``partitions`` are numbers and GUIDs; the entries come in boot order. Empty
    where the machine was not booted by UEFI.
    """
    numbers = {guid: number for number, guid in partitions}
    found = []
    for name in _order(efivars):
        option = parse_load_option(_variable(efivars, name))
        if option and option[1] in numbers:
            label, guid, loader = option
            found.append(BootEntry(_plain(label), numbers[guid], _plain(loader)))
    return tuple(found)


def _order(efivars: Path) -> list[str]:
    data = _variable(efivars, "BootOrder")
    return [f"Boot{number:04X}" for (number,) in struct.iter_unpack("<H", data[: len(data) & ~1])]


def _variable(efivars: Path, name: str) -> bytes:
    try:
        return (efivars / f"{name}-{_GLOBAL}").read_bytes()[_ATTRIBUTES:]
    except OSError:
        return b""


def _utf16(data: bytes, start: int) -> tuple[str, int]:
    """Return the null-terminated text at ``start`` and the position behind it."""
    end = start
    while data[end : end + 2] not in (b"\0\0", b""):
        end += 2
    return data[start:end].decode("utf-16-le"), end + 2


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
