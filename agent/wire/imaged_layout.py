"""The partitions of an image, and whether a disk has the same ones. Pure.

Partitions are written one by one only where the disk has them at the same place: partition
tables, boot loaders and NTFS all keep where a partition begins.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from attrs import frozen


@frozen
class PartitionPlace:
    """A partition as its table has it. Bytes."""

    number: int
    start: int
    size: int
    type: str
    """GPT type GUID or MBR type byte (``0x83``)."""


@frozen
class ImagedLayout:
    """The partitions of a captured disk."""

    table: str
    """``gpt``, ``mbr`` or ``none``."""
    partitions: tuple[PartitionPlace, ...]
    omitted: tuple[int, ...] = ()
    """The numbers of those whose content is not in the image."""

    @property
    def held(self) -> tuple[int, ...]:
        """The numbers of the partitions whose content is in the image."""
        return tuple(each.number for each in self.partitions if each.number not in self.omitted)

    def missing(self, numbers: Iterable[int]) -> str:
        """Return which of ``numbers`` the image does not hold, as a clause; empty: it has all."""
        lacking = [number for number in numbers if number not in self.held]
        if not lacking:
            return ""
        return f"does not hold {counted_partitions(lacking)}; it holds {listed(self.held)}"


def are_apart(some: Collection[int], others: Collection[int]) -> bool:
    """Return whether two choices of partitions of one disk have none in common.

    None that is named means the whole disk.
    """
    return bool(some) and bool(others) and set(some).isdisjoint(others)


def listed(numbers: Iterable[int]) -> str:
    """Return numbers as people list them; ``none`` where there are none."""
    return ", ".join(map(str, numbers)) or "none"


def counted_partitions(numbers: Sequence[int]) -> str:
    """Return ``partition 3`` or ``partitions 1, 3``."""
    return f"partition{'s' if len(numbers) > 1 else ''} {listed(numbers)}"


def differences(
    image: ImagedLayout, numbers: Sequence[int], table: str, partitions: Iterable[PartitionPlace]
) -> str:
    """Return how a disk differs where partitions ``numbers`` of the image would be written.

    ``table`` and ``partitions`` are the disk's. Every difference is named with both values;
    empty where there is none.
    """
    return "; ".join(_differences(image, numbers, table, partitions))


def _differences(
    image: ImagedLayout, numbers: Sequence[int], table: str, partitions: Iterable[PartitionPlace]
) -> Iterator[str]:
    if image.table != table:
        yield f"the image has {_named(image.table)}, the disk has {_named(table)}"
        return
    wanted = {each.number: each for each in image.partitions}
    there = {each.number: each for each in partitions}
    for number in numbers:
        one, other = wanted[number], there.get(number)
        if other is None:
            yield f"the disk has no partition {number}, it has {listed(sorted(there))}"
            continue
        for mine, its in zip(_words(one), _words(other), strict=True):
            if mine != its:
                yield f"partition {number} {mine} in the image and {its} on the disk"


def _words(place: PartitionPlace) -> tuple[str, ...]:
    return (
        f"begins at byte {place.start:,}",
        f"has {place.size:,} bytes",
        f"has the type {place.type.lower()}",
    )


def _named(table: str) -> str:
    return {"gpt": "a GPT", "mbr": "an MBR"}.get(table, "no partition table")
