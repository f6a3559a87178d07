"""blkid: everything that a range of a device holds.

One answer of blkid is not enough: it prints the first format and stops, so that a swap
header hides the disk of a virtual machine that was written over its area. It is asked
again without what it has found until it finds nothing more.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen

from agent.commands.runner import run_command

TABLE = "partition table"
"""So end the names of partition tables among those of several signatures."""

_NOTHING = 2
_AMBIVALENT = 8
_LONGEST_LABEL = 200
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_DOS_CODE_PAGE = "cp850"
"""Of FAT labels that are no UTF-8; the default of mkfs.fat and of western Windows."""

_ENTRIES = slice(446, 510)
_BOOT_SECTOR_SIZE = 512
_OUTER_USAGES = frozenset({"raid", "crypto"})
"""What blkid calls formats that may hold a file system which shows through them."""


@frozen
class Signature:
    """What was recognised; all empty where nothing was.

    ``filesystem`` is blkid's name of the format, also of swap, LVM and the like. It is
    empty where more than one was found, unless the first is a RAID's or encryption.
    ``table`` is the kind of a partition table in the range: ``gpt``, ``mbr``, or blkid's name.
    ``several`` names everything where more than one was found, for example an old RAID's
    label under a new ext4. ``usage`` is blkid's class of the format: ``filesystem``, ``raid``.
    """

    filesystem: str = ""
    label: str = ""
    uuid: str = ""
    usage: str = ""
    table: str = ""
    several: tuple[str, ...] = ()


def probe(device: Path, start: int, size: int) -> Signature:
    """Return all that the range of the device holds; CommandError where it cannot be read.

    OSError where its first sector cannot be read. A boot sector with an empty MBR, as exFAT
    and boot loaders in a partition have, counts only where there is nothing else.
    """
    return _together(_answers(_place(device, start, size)), device, start)


def probe_each(device: Path, start: int, size: int) -> Signature:
    """Return the same, where blkid is asked for each format alone.

    A place that cannot be read hides then only the formats that have it; else blkid ends there, as
    if nothing at all were recognised.
    """
    return _together(_one_by_one(_place(device, start, size), []), device, start)


def _place(device: Path, start: int, size: int) -> tuple[str, ...]:
    return ("--offset", str(start), "--size", str(size), str(device))


def _together(answers: Sequence[Signature], device: Path, start: int) -> Signature:
    first = answers[0] if answers else Signature()
    formats = tuple(dict.fromkeys(each.filesystem for each in answers if each.filesystem))
    # Of a RAID's member, blkid prints the table only where it is asked for the rest.
    table = next((answer.table for answer in answers if answer.table), "")
    if table == "mbr" and formats and _is_empty_mbr(device, start):
        table = ""
    found = (*formats, f"{table} {TABLE}") if table else formats
    several = found if len(found) > 1 else ()
    if several and first.usage not in _OUTER_USAGES:
        return Signature(table=table, several=several)
    return evolve(first, table=table, several=several)


def probe_for(device: Path, start: int, size: int, kinds: Sequence[str]) -> Signature:
    """Return which of some formats the range holds, whatever else; CommandError.

    Nothing is read where others have their places, which may be unreadable.
    """
    place = _place(device, start, size)
    return _answer("--match-types", ",".join(kinds), *place) or Signature()


def _answers(place: tuple[str, ...]) -> list[Signature]:
    """Return blkid's answers, each without the formats of those before."""
    answers: list[Signature] = []
    formats: list[str] = []
    while True:
        filters = ("--match-types", f"no{','.join(formats)}") if formats else ()
        answer = _answer(*filters, *place)
        if answer is None:
            return answers + _one_by_one(place, formats)
        answers.append(answer)
        if not answer.filesystem or answer.filesystem in formats:
            return answers
        formats.append(answer.filesystem)


def _one_by_one(place: tuple[str, ...], known: list[str]) -> list[Signature]:
    """Return the answers for each further format alone, where blkid refuses to choose."""
    names = run_command(["blkid", "--list-filesystems"]).stdout.decode("ascii", "replace").split()
    answers = (_answer("--match-types", name, *place) for name in names if name not in known)
    return [answer for answer in answers if answer is not None and answer.filesystem]


def _answer(*arguments: str) -> Signature | None:
    """Return what one run of blkid recognises; None where it finds several and names none."""
    command = ["blkid", "--probe", "--output", "udev", *arguments]
    done = run_command(command, accept=(0, _NOTHING, _AMBIVALENT))
    return None if done.status == _AMBIVALENT else parse_signature(done.stdout)


def _is_empty_mbr(device: Path, start: int) -> bool:
    with device.open("rb") as opened:
        opened.seek(start)
        return not any(opened.read(_BOOT_SECTOR_SIZE)[_ENTRIES])


def parse_signature(output: bytes) -> Signature:
    """Return what ``blkid --output udev`` printed. Unprintable characters become ``?``."""
    pairs = (line.partition(b"=") for line in output.split(b"\n"))
    raw = {name: value for name, _, value in pairs}
    values = {name: value.decode("utf-8", "replace") for name, value in raw.items()}
    filesystem = values.get(b"ID_FS_TYPE", "")
    table = values.get(b"ID_PART_TABLE_TYPE", "")
    code_page = _DOS_CODE_PAGE if filesystem == "vfat" else "utf-8"
    label = _decoded(raw.get(b"ID_FS_LABEL_ENC", b""), code_page)
    return Signature(
        filesystem=filesystem,
        label="".join(char if char.isprintable() else "?" for char in label[:_LONGEST_LABEL]),
        uuid=values.get(b"ID_FS_UUID", ""),
        usage=values.get(b"ID_FS_USAGE", ""),
        table={"dos": "mbr"}.get(table, table),
    )


def udev_decoded(text: str) -> str:
    """Undo the same escapes in a name below ``/dev/disk``, which udev makes of a label."""
    return _decoded(text.encode("utf-8", "surrogateescape"), "utf-8")


def _decoded(text: bytes, code_page: str) -> str:
    """Undo libblkid's escapes (backslash, ``x``, two digits), which stand for single bytes.

    It escapes what is unsafe in a file name and every byte that is no whole character of UTF-8.
    """
    raw = _ESCAPE.sub(lambda match: bytes([int(match.group(1), 16)]), text)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(code_page, "replace")
