"""Which image a person means: NAME, NAME~2, or the first digits of a digest."""

import re
from typing import NamedTuple

from providers.imaging.errors import (
    AmbiguousImageError,
    BadNameError,
    NoGenerationError,
    UnknownImageError,
)
from providers.imaging.store import ChunkStore
from specs.diagnostics.nearest import NearestNames

_GENERATION = re.compile(r"(?P<name>.+)~(?P<number>\d{1,6})")
_DIGITS = re.compile(r"[0-9a-f]{8,64}")
_FEWEST = 8


class FoundImage(NamedTuple):
    """The image that a reference means."""

    digest: str
    name: str
    """The name by which it was found; empty where a digest was given."""


def find_image(store: ChunkStore, text: str) -> FoundImage:
    """Return the image that ``text`` means; a name goes before digits of a digest.

    Raises UnknownImageError with the name that may be meant, AmbiguousImageError,
    NoGenerationError.
    """
    split = _GENERATION.fullmatch(text)
    name = split["name"] if split else text
    generations = _generations(store, name)
    if generations:
        number = int(split["number"]) if split else 0
        if number >= len(generations):
            raise NoGenerationError(name, number, len(generations))
        return FoundImage(generations[number], name)
    if _DIGITS.fullmatch(text):
        found = sorted(digest for digest in store.image_digests() if digest.startswith(text))
        if len(found) > 1:
            raise AmbiguousImageError(text, found)
        if found:
            return FoundImage(found[0], "")
    raise UnknownImageError(text, _hint(store, text, name))


def _generations(store: ChunkStore, name: str) -> tuple[str, ...]:
    """Return the digests of a name, the newest first; none where it is no name of an image."""
    try:
        return tuple(entry.digest for entry in store.names.tag_of(name).generations)
    except (BadNameError, UnknownImageError):
        return ()


def _hint(store: ChunkStore, text: str, name: str) -> str:
    digits = text.lower()
    if _DIGITS.fullmatch(digits) and digits != text:
        return f"Digests are written in lower case: {digits}"
    if re.fullmatch(r"[0-9a-f]+", text) and len(text) < _FEWEST:
        return f"Of a digest, give {_FEWEST} digits or more"
    meant = NearestNames().find(name, (tag.name for tag in store.names.tags()))
    return f"Perhaps {meant} is meant" if meant else ""
