"""What differs between two images: disks, partitions and packages; and counted files. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from attrs import frozen

from agent.imaging.manifest import Manifest
from agent.wire.inventory import Package
from providers.imaging.image_layout import ImagePart
from providers.imaging.tree_comparison import FileChange

_ROOM = 1000
"""Changes beside the wanted ones that are kept before they are sorted out."""


class PartChange(NamedTuple):
    """What became of a partition, a volume or the disk itself."""

    title: str
    details: tuple[str, ...]


class PackageChange(NamedTuple):
    """The versions of a package before and after; several of a kernel. None where it was not."""

    name: str
    architecture: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@frozen
class Found:
    """What was found between two images beside their files."""

    parts: tuple[PartChange, ...]
    packages: tuple[PackageChange, ...] | None
    """None where they are not known: neither image has a system, or one cannot be read."""
    problems: tuple[str, ...]
    """What could not be compared, and why."""


class PlacedChange(NamedTuple):
    """What became of a file, and in which partition or volume."""

    part: str
    change: FileChange
    shown: str
    """The path as the installed system has it, else with the part's name before it."""


class ChangedFiles:
    """Counts changes of files and keeps the first ``most`` by their path, None for all."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: list[PlacedChange] = []
        self.counts: Counter[str] = Counter()

    def add(self, placed: PlacedChange) -> None:
        """Count a change, and keep it where it is among the first."""
        self.counts[placed.change.kind] += 1
        self._kept.append(placed)
        if self._most is not None and len(self._kept) > 2 * self._most + _ROOM:
            self._kept = self.first()

    def first(self) -> list[PlacedChange]:
        """Return the changes that were kept, in order."""
        return sorted(self._kept, key=attrgetter("shown"))[: self._most]


def disk_changes(one: Manifest, two: Manifest) -> Iterator[PartChange]:
    """Yield what differs between the disks themselves."""
    details = [
        *_differing("partition table", one.table, two.table),
        *_differing("size", one.disk_size, two.disk_size),
        *_differing("sector size", one.sector_size, two.sector_size),
    ]
    if details:
        yield PartChange("disk", tuple(details))


def part_changes(one: Sequence[ImagePart], two: Sequence[ImagePart]) -> Iterator[PartChange]:
    """Yield what became of partitions and volumes, by their number or name."""
    before, after = ({each.name: each for each in parts} for parts in (one, two))
    for part in one:
        other = after.get(part.name)
        if other is None:
            yield PartChange(part.title, (f"removed ({part.filesystem or 'no file system'})",))
            continue
        details = [
            *_differing("file system", part.filesystem, other.filesystem),
            *_differing("size", part.size, other.size),
            *_differing("start", part.start, other.start),
            *_differing("label", part.label, other.label),
            *_differing("UUID", part.uuid, other.uuid),
        ]
        if details:
            yield PartChange(part.title, tuple(details))
    for part in two:
        if part.name not in before:
            yield PartChange(part.title, (f"added ({part.filesystem or 'no file system'})",))


def package_changes(one: Sequence[Package], two: Sequence[Package]) -> tuple[PackageChange, ...]:
    """Return the packages of which other versions are installed, by name."""
    before, after = _versions(one), _versions(two)
    return tuple(
        PackageChange(*key[:2], before.get(key, ()), after.get(key, ()))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def _versions(packages: Sequence[Package]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for each in packages:
        key = (each.name, each.architecture, each.format)
        found[key] = (*found.get(key, ()), each.version)
    return found


def _differing(name: str, one: object, two: object) -> Iterator[str]:
    if one != two:
        shown = [str(each) if each != "" else "none" for each in (one, two)]
        yield f"{name} {shown[0]} -> {shown[1]}"
