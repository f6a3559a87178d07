"""Disks of one machine that are captured and restored together. Pure.

A set is what one run captured: images of several disks, of one moment, that refer to each other
(``/etc/fstab`` of one mounts the other). What is restored otherwise is allowed, and warned of.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from agent.wire.disk import Disk
from providers.imaging.image_record import ImageSet, SetMember
from reconciler.planning.disks import describe
from reconciler.state.observed import ObservedImage

_EXTENDED = frozenset({"0x05", "0x0f", "0x85"})
"""Partitions of an MBR that hold other partitions; images name only those."""


class ImageToDisk(NamedTuple):
    """An image on its way to a disk."""

    image: ObservedImage
    disk: Disk


# --- what belongs together ------------------------------------------------------------


def set_warnings(restored: Sequence[ImageToDisk]) -> tuple[str, ...]:
    """Return what of sets is left out or mixed where these images are restored to one machine."""
    images = [each.image for each in restored]
    if len(images) > 1 and any(each.sets for each in images) and _common(images) is None:
        return (f"not captured together: {', '.join(map(_captured, images))}", *_left_out(images))
    return tuple(_left_out(images))


def missing_members(image: ObservedImage, images: Iterable[ObservedImage]) -> tuple[str, ...]:
    """Return the names of what was captured with an image and is not among ``images``.

    It is one of these itself.
    """
    restored = tuple(images)
    together = _common(restored) or next(iter(image.sets), None)
    if together is None:
        return ()
    missing = together.besides((each.name, each.manifest) for each in restored)
    return tuple(each.name for each in missing)


def _common(images: Sequence[ObservedImage]) -> ImageSet | None:
    """Return the newest set that all of these images belong to."""
    if not images:
        return None
    return next(
        (each for each in images[0].sets if all(_belongs(image, each) for image in images)), None
    )


def _belongs(image: ObservedImage, captured: ImageSet) -> bool:
    return SetMember(image.name, image.manifest) in captured.members or captured in image.sets


def _left_out(images: Sequence[ObservedImage]) -> Iterator[str]:
    told: set[str] = set()
    for image in images:
        missing = [name for name in missing_members(image, images) if name not in told]
        told.update(missing)
        if missing:
            yield (
                f"{_captured(image)} is restored without {', '.join(missing)}, captured together "
                "with it"
            )


def _captured(image: ObservedImage) -> str:
    if not image.sets:
        return f"{image.name} (captured alone, {image.created:%Y-%m-%d %H:%M} UTC)"
    newest = image.sets[0]
    at = datetime.fromisoformat(newest.at)
    return f"{image.name} (set {newest.run[:12]} of {newest.machine}, {at:%Y-%m-%d %H:%M} UTC)"


# --- partitions -----------------------------------------------------------------------


def partition_warnings(restored: Sequence[ImageToDisk]) -> tuple[str, ...]:
    """Return where the disks that these images were captured from are partitioned otherwise now.

    The caller gives only images of this machine's own disks. What is not known is not compared.
    """
    return tuple(
        f"the partitions of disk {describe(each.disk)} were changed since {each.image.name} was "
        f"captured at {each.image.created:%Y-%m-%d %H:%M} UTC: {changes}"
        for each in restored
        if (changes := "; ".join(_changes(each)))
    )


def _changes(restored: ImageToDisk) -> Iterator[str]:
    layout = restored.image.layout
    if layout is None or not layout.partitions or not restored.disk.partitions:
        return
    before = {each.number: (each.start, each.size) for each in layout.partitions if each.number}
    now = {
        each.number: (each.start, each.size)
        for each in restored.disk.partitions
        if each.type not in _EXTENDED
    }
    for number in sorted({*before, *now}):
        one, two = before.get(number), now.get(number)
        if one is None:
            yield f"partition {number} is new"
        elif two is None:
            yield f"partition {number} is gone"
        elif one[1] != two[1]:
            yield f"partition {number} has {two[1]:,} bytes, it had {one[1]:,}"
        elif one != two:
            yield f"partition {number} begins at byte {two[0]:,}, it began at {one[0]:,}"


# --- the one system of a machine ------------------------------------------------------


def has_system(image: ObservedImage) -> bool:
    """Return whether an installed system was found on the image's disk."""
    return image.system is not None and bool(image.system.root or image.system.name)


def in_safe_order(images: Mapping[int, ObservedImage]) -> list[int]:
    """Return the places of restores in the order in which they are carried out.

    ``images`` are theirs in the order of the document. The disk with the installed system comes
    last, where that is one: no machine then starts from a system that lacks its other disks.
    """
    systems = [place for place, image in images.items() if has_system(image)]
    if len(systems) != 1:
        return list(images)
    return [*(place for place in images if place != systems[0]), systems[0]]
