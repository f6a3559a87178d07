"""What a verification of images found, as text and as JSON."""

from collections.abc import Iterable, Iterator, Mapping

from attrs import asdict

from providers.imaging.image_record import RestoreTest, Tag
from providers.imaging.image_signature import CheckedSignature
from providers.imaging.verification import Verified
from reconciler.state.image_checks import WHOLE_AGAIN

_SHOWN = 20
"""Damages of one image that are listed on a terminal; JSON has all."""


def damage_lines(found: Verified, tags: Iterable[Tag], *, is_written: bool = True) -> Iterator[str]:
    """Yield what is wrong with each image, a line for each, below the image's names.

    ``is_written`` is whether it has taken the images out of use.
    """
    consequence = " and is not restored any more" if is_written else ""
    names = _names(tags)
    damages: dict[str, list[str]] = {}
    for each in found.damages:
        damages.setdefault(each.image, []).append(each.line)
    for image, lines in damages.items():
        called = ", ".join(names.get(image, ["without a name"]))
        yield f"image {image[:12]} ({called}) is damaged{consequence}:"
        yield from (f"  {line}" for line in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"  and {len(lines) - _SHOWN:,} more"


def loss_lines(found: Verified, tags: Iterable[Tag]) -> Iterator[str]:
    """Yield a line for each undamaged image that lacks what its disk did not give."""
    names = _names(tags)
    for digest, size in sorted(found.unreadable.items()):
        called = ", ".join(names.get(digest, ["without a name"]))
        yield (
            f"image {digest[:12]} ({called}) is as it was captured: {size:,} bytes of it could not "
            "be read from the disk and are zeros"
        )


def whole_again_lines(digests: Iterable[str], tags: Iterable[Tag]) -> Iterator[str]:
    """Yield a line for each image that is undamaged again, with what it takes to be restored."""
    names = _names(tags)
    for digest in sorted(digests):
        called = names.get(digest, [])
        reference = called[0] if called else digest[:12]
        yield (
            f"image {digest[:12]} ({', '.join(called) or 'without a name'}) was damaged; "
            f"{WHOLE_AGAIN}: `rackwright image verify --prove {reference}`"
        )


def signature_lines(checked: Mapping[str, CheckedSignature], tags: Iterable[Tag]) -> Iterator[str]:
    """Yield a line for each image whose signature does not fit."""
    names = _names(tags)
    for digest, each in sorted(checked.items()):
        if each.state == "bad":
            called = ", ".join(names.get(digest, ["without a name"]))
            yield f"image {digest[:12]} ({called}) must not be restored: {each.said}"


def _names(tags: Iterable[Tag]) -> dict[str, list[str]]:
    """Return the names of images by their digests."""
    names: dict[str, list[str]] = {}
    for tag in tags:
        for number, entry in enumerate(tag.generations):
            names.setdefault(entry.digest, []).append(
                f"{tag.name}~{number}" if number else tag.name
            )
    return names


def verified_document(
    found: Verified,
    tests: Mapping[str, RestoreTest],
    signatures: Mapping[str, CheckedSignature],
    unwritten: str = "",
    whole_again: Iterable[str] = (),
) -> dict[str, object]:
    """Return what was found as JSON has it, and why it could not be written down."""
    return {
        "images": found.images,
        "chunks": found.chunks,
        "bytes": found.size,
        "damages": [each._asdict() for each in found.damages],
        "notWrittenDown": unwritten,
        "wholeAgain": sorted(whole_again),
        "signatures": {digest: asdict(each) for digest, each in signatures.items()},
        "unreadableBytes": dict(found.unreadable),
        "restoreTests": {
            digest: {"ok": test.ok, "details": list(test.details)} for digest, test in tests.items()
        },
    }
