"""What became of an image that was made to fit a smaller disk."""

from collections.abc import Iterator
from typing import NamedTuple

from providers.imaging.image_record import RestoreTest
from providers.imaging.shrinking import Shrunk
from providers.imaging.smaller_layout import Place


class SmallerImage(NamedTuple):
    """An image for a smaller disk, or what it would be; ``test`` is None where none was made."""

    origin: str
    """Digest of the image that it was made of."""
    shrunk: Shrunk
    test: RestoreTest | None
    unsigned: str = ""
    """Why it is not signed; empty where it is, or got no name."""


def shrunk_lines(made: SmallerImage, name: str) -> Iterator[str]:
    """Yield what is different, and whether the image has its name."""
    shrunk = made.shrunk
    new, partition = shrunk.layout, shrunk.partition
    yield f"disk: {shrunk.image.disk_size:,} bytes, on the new one {new.disk_size:,}"
    place = new.smaller
    if partition is not None and place is not None:
        yield (
            f"{_title(place)} ({partition.filesystem}): {place.before.length:,} bytes, on the new "
            f"disk {place.after.length:,}; its file system needs {shrunk.needed:,}"
        )
    for each in new.places:
        if each.moved:
            yield f"{_title(each)}: from {each.before.offset:,} to {each.after.offset:,}"
    if made.test is None:
        yield "nothing was made"
    elif made.test.ok:
        yield f"{name} is image {shrunk.digest[:12]} from now on; it can be restored"
        if made.unsigned:
            yield f"it is not signed: {made.unsigned}"
    else:
        yield f"image {shrunk.digest[:12]} got no name, its restore test failed:"
        for line in made.test.details:
            yield f"  {line}"


def _title(place: Place) -> str:
    return f"partition {place.number}" if place.number else "the disk's file system"


def shrunk_document(made: SmallerImage, name: str) -> dict[str, object]:
    """Return it as JSON has it; sizes and places are bytes."""
    shrunk, test = made.shrunk, made.test
    partition = shrunk.partition
    return {
        "madeFrom": made.origin,
        "image": shrunk.digest or None,
        "name": name if test is not None and test.ok else None,
        "disk": {"before": shrunk.image.disk_size, "after": shrunk.layout.disk_size},
        "partition": None if partition is None else partition.number,
        "fileSystem": None
        if partition is None
        else {"type": partition.filesystem, "needs": shrunk.needed},
        "unsigned": made.unsigned or None,
        "places": [
            {
                "partition": each.number,
                "before": {"start": each.before.offset, "size": each.before.length},
                "after": {"start": each.after.offset, "size": each.after.length},
            }
            for each in shrunk.layout.places
        ],
        "restoreTest": None
        if test is None
        else {"ok": test.ok, "details": test.details, "at": test.at},
    }
