"""fstab(5): which other file systems a root file system needs. Pure."""

import re
from collections.abc import Sequence

from attrs import evolve, frozen

from agent.commands.blkid import udev_decoded
from agent.wire.disk import Partition

# What the identity touches outside the root directory's own file system.
_NEEDED = ("/usr", "/var", "/var/lib")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SUBVOLUME = re.compile(r"(?:^|,)subvol=([^,\0]+)")
_NUMBERED = re.compile(r"/dev/([a-z]+|(?:nvme\d+n|mmcblk)\d+p)(\d+)")
# The links that udev makes, and what they are made of (60-persistent-storage.rules).
_LINKS = re.compile(r"/dev/disk/by-(uuid|partuuid|label|partlabel)/(.+)")


@frozen
class FstabEntry:
    """One line: ``source`` as written (``UUID=…``), and where it is mounted."""

    source: str
    place: str
    subvolume: str = ""
    """On btrfs."""
    other_disk: bool = False
    """The kernel's name in ``source`` is of another disk than that of the root."""


@frozen
class Identified:
    """A partition and all that fstab may call it by beside what ``partition`` says.

    ``uuid`` is the file system's, ``name`` the partition's in a GPT.
    """

    partition: Partition
    uuid: str = ""
    name: str = ""


def needed_mounts(text: str) -> tuple[FstabEntry, ...]:
    """Return the entries for ``/usr``, ``/var`` and ``/var/lib``, parents first.

    What is mounted on demand only (``noauto``) is not among them.
    """
    entries = []
    root_disk = ""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004 - source and place
            continue
        source, place = _unescaped(fields[0]).replace('"', ""), _unescaped(fields[1])
        place = place.rstrip("/") or "/"
        options = fields[3] if len(fields) > 3 else ""  # noqa: PLR2004 - after the type
        if place == "/":
            root_disk = _disk_of(source)
        if place in _NEEDED and "noauto" not in options.split(","):
            subvolume = _SUBVOLUME.search(options)
            entries.append(FstabEntry(source, place, subvolume.group(1) if subvolume else ""))
    entries = [
        evolve(entry, other_disk=bool(root_disk and _disk_of(entry.source) not in ("", root_disk)))
        for entry in entries
    ]
    return tuple(sorted(entries, key=lambda entry: entry.place))


def partition_of(entry: FstabEntry, partitions: Sequence[Identified]) -> Partition | None:
    """Return the partition that the entry's source means, None where none of these is it.

    A link below ``/dev/disk`` is resolved as udev made it; one by the disk's own serial or
    place (``by-id``, ``by-path``) means the golden machine's disk, which no clone has.
    """
    numbered = _NUMBERED.fullmatch(entry.source)
    if numbered:
        wanted = None if entry.other_disk else int(numbered.group(2))
        return next((p.partition for p in partitions if p.partition.number == wanted), None)
    link = _LINKS.fullmatch(entry.source)
    if link:
        kind, value = link.group(1).upper(), udev_decoded(link.group(2))
    else:
        kind, _, value = entry.source.partition("=")
    for each in partitions:
        name = {
            "UUID": each.uuid.lower(),
            "PARTUUID": each.partition.uuid.lower(),
            "LABEL": each.partition.label,
            "PARTLABEL": each.name,
        }.get(kind, "")
        if value and name == (value.lower() if kind in ("UUID", "PARTUUID") else value):
            return each.partition
    return None


def is_kernel_name(source: str) -> bool:
    """Return whether a source is a partition by the kernel's name, such as ``/dev/sdb1``."""
    return _NUMBERED.fullmatch(source) is not None


def _disk_of(source: str) -> str:
    """Return what the kernel calls the disk of such a partition, empty for any other source."""
    numbered = _NUMBERED.fullmatch(source)
    return numbered.group(1) if numbered else ""


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
