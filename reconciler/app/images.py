"""The images of a state directory, by what people call them."""

import re
from pathlib import Path

from providers.imaging.errors import UnknownImageError
from providers.imaging.store import ChunkStore
from reconciler.errors import ReconcilerError

_PREFIX = re.compile(r"[0-9a-f]{8,64}")


def image_store(state: Path) -> Path:
    """Return the directory of the image store."""
    return state / "store"


def resolve_image(state: Path, reference: str) -> str:
    """Return the digest of an image by its name, or by at least 8 digits of its digest.

    UnknownImageError RW434 where there is none, BadNameError RW435 for what is no name,
    ReconcilerError RW996 where several digests begin so.
    """
    root = image_store(state)
    try:
        return ChunkStore(root).resolve(reference)
    except UnknownImageError:
        if not _PREFIX.fullmatch(reference):
            raise
    found = sorted(each.name for each in (root / "images").glob(f"{reference}*"))
    if not found:
        raise UnknownImageError(reference)
    if len(found) > 1:
        raise ReconcilerError(
            "RW996",
            f"{len(found)} images begin with {reference}: {found[0]} and {found[1]} are two",
            "Write more digits of the one that is meant",
        )
    return found[0]
