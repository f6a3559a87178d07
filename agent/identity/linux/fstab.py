"""fstab(5): which other file systems a root file system needs. Pure."""

import re
from collections.abc import Sequence

from attrs import frozen

from agent.wire.disk import Partition

# What the identity touches outside the root directory's own file system.
_NEEDED = ("/usr", "/var", "/var/lib")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SUBVOLUME = re.compile(r"(?:^|,)subvol=([^,]+)")
_NUMBERED = re.compile(r"/dev/(?:[a-z]+|(?:nvme\d+n|mmcblk)\d+p)(\d+)")


@frozen
class FstabEntry:
    """One line: ``source`` as written (``UUID=…``), and where it is mounted."""

    source: str
    place: str
    subvolume: str = ""
    """On btrfs."""


def needed_mounts(text: str) -> tuple[FstabEntry, ...]:
    """Return the entries for ``/usr``, ``/var`` and ``/var/lib``, parents first."""
    entries = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 2 and not fields[0].startswith("#"):  # noqa: PLR2004 - source and place
            source, place = _unescaped(fields[0]).strip('"'), _unescaped(fields[1]).rstrip("/")
            options = fields[3] if len(fields) > 3 else ""  # noqa: PLR2004 - after the type
            subvolume = _SUBVOLUME.search(options)
            entries.append(FstabEntry(source, place, subvolume.group(1) if subvolume else ""))
    return tuple(sorted((e for e in entries if e.place in _NEEDED), key=lambda e: e.place))


def partition_of(
    entry: FstabEntry, partitions: Sequence[Partition], uuids: Sequence[str]
) -> Partition | None:
    """Return the partition that the entry's source means, None where none of these is it.

    ``uuids`` are the file systems' UUIDs in the order of ``partitions``.
    """
    kind, _, value = entry.source.partition("=")
    value = value.strip('"')
    numbered = _NUMBERED.fullmatch(entry.source)
    for partition, uuid in zip(partitions, uuids, strict=True):
        matches = {
            "UUID": value != "" and value.lower() == uuid.lower(),
            "PARTUUID": value != "" and value.lower() == partition.uuid,
            "LABEL": value != "" and value == partition.label,
        }
        if matches.get(kind, numbered is not None and int(numbered.group(1)) == partition.number):
            return partition
    return None


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
