"""fstab(5): which other file systems a root file system needs. Pure."""

import re
from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from agent.commands.blkid import udev_decoded

# What the identity touches outside the root directory's own file system.
_NEEDED = ("/usr", "/var", "/var/lib")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SUBVOLUME = re.compile(r"(?:^|,)subvol=([^,\0]+)")
_NUMBERED = re.compile(r"/dev/([a-z]+|(?:nvme\d+n|mmcblk)\d+p)(\d+)")
# The links that udev makes, and what they are made of (60-persistent-storage.rules).
_LINKS = re.compile(r"/dev/disk/by-(uuid|partuuid|label|partlabel)/(.+)")
# The UUIDs of group and volume follow each other; Ubuntu's installer writes this.
_VOLUME_LINK = re.compile(r"/dev/disk/by-id/dm-uuid-LVM-[^/]{32}([^/]{32})")


@frozen
class FstabEntry:
    """One line: ``source`` as written (``UUID=…``), and where it is mounted."""

    source: str
    place: str
    subvolume: str = ""
    """On btrfs."""
    on_demand: bool = False
    """It is mounted when somebody asks for it (``noauto``)."""
    other_disk: bool = False
    """The kernel's name in ``source`` is of another disk than that of the root."""


@frozen
class Identified:
    """A partition or a volume of LVM, and all that fstab may call it by.

    ``uuid`` and ``label`` are the file system's.
    """

    place: str
    """A partition's number, or a volume's ``group/name``."""
    uuid: str = ""
    label: str = ""
    partuuid: str = ""
    partlabel: str = ""
    """The partition's name in a GPT."""
    volume_uuid: str = ""
    devices: tuple[str, ...] = ()
    """Paths of a volume, by its names."""


def needed_mounts(text: str) -> tuple[FstabEntry, ...]:
    """Return the entries for ``/usr``, ``/var`` and ``/var/lib``, parents first.

    What is mounted on demand only (``noauto``) is not among them.
    """
    entries = list(_entries(text))
    root_disk = next((_disk_of(each.source) for each in reversed(entries) if each.place == "/"), "")
    needed = [
        evolve(entry, other_disk=bool(root_disk and _disk_of(entry.source) not in ("", root_disk)))
        for entry in entries
        if entry.place in _NEEDED and not entry.on_demand
    ]
    return tuple(sorted(needed, key=lambda entry: entry.place))


def _entries(text: str) -> Iterator[FstabEntry]:
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004 - source and place
            continue
        source, place = _unescaped(fields[0]).replace('"', ""), _unescaped(fields[1])
        options = fields[3] if len(fields) > 3 else ""  # noqa: PLR2004 - after the type
        subvolume = _SUBVOLUME.search(options)
        yield FstabEntry(
            source,
            place.rstrip("/") or "/",
            subvolume.group(1) if subvolume else "",
            on_demand="noauto" in options.split(","),
        )


def root_source(text: str) -> FstabEntry | None:
    """Return the entry for the root directory, None where there is none."""
    return next((entry for entry in _entries(text) if entry.place == "/"), None)


def place_of(entry: FstabEntry, known: Sequence[Identified]) -> str | None:
    """Return the place that the entry's source means, None where none of these is it.

    A link below ``/dev/disk`` is resolved as udev made it; one by the disk's own serial or
    place (``by-id``, ``by-path``) means the golden machine's disk, which no clone has.
    """
    return next((each.place for each in known if _means(entry, each)), None)


def _means(entry: FstabEntry, each: Identified) -> bool:
    numbered = _NUMBERED.fullmatch(entry.source)
    if numbered:
        return not entry.other_disk and each.place == numbered.group(2)
    volume = _VOLUME_LINK.fullmatch(entry.source)
    if volume:
        return each.volume_uuid.replace("-", "") == volume.group(1)
    if entry.source in each.devices:
        return True
    link = _LINKS.fullmatch(entry.source)
    if link:
        kind, value = link.group(1).upper(), udev_decoded(link.group(2))
    else:
        kind, _, value = entry.source.partition("=")
    if kind in ("UUID", "PARTUUID"):
        value = value.lower()
    name = {
        "UUID": each.uuid.lower(),
        "PARTUUID": each.partuuid.lower(),
        "LABEL": each.label,
        "PARTLABEL": each.partlabel,
    }.get(kind, "")
    return bool(value) and name == value


def is_kernel_name(source: str) -> bool:
    """Return whether a source is a partition by the kernel's name, such as ``/dev/sdb1``."""
    return _NUMBERED.fullmatch(source) is not None


def _disk_of(source: str) -> str:
    """Return what the kernel calls the disk of such a partition, empty for any other source."""
    numbered = _NUMBERED.fullmatch(source)
    return numbered.group(1) if numbered else ""


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
