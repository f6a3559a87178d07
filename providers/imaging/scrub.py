"""Scrubbing the store: whatever lies there is read and compared with its digest.

Chunks are read in the order of their digests, whether an image needs them or not: a capture may
count on each. Memory does not grow with the store. What is missing is found afterwards, image by
image, from the manifests (``providers.imaging.verification.missing_of``).
"""

from typing import NamedTuple

from providers.imaging.errors import UnknownChunkError
from providers.imaging.store import ChunkStore
from providers.imaging.verification import DamagedChunkError, content_length


class Scrubbed(NamedTuple):
    """One chunk that was read."""

    size: int
    """Bytes as it is stored; 0 where it was collected meanwhile."""
    problem: str = ""
    """Why it was set aside; empty where it is as it was."""


def scrub_chunk(store: ChunkStore, digest: str) -> Scrubbed:
    """Read a chunk, and set it aside where it is damaged; its images are the caller's to mark.

    Raises StoreAwayError and OSError where the store cannot be read.
    """
    try:
        size = store.stored_size(digest)
        content_length(store, digest)
    except UnknownChunkError:
        return Scrubbed(0)
    except DamagedChunkError as error:
        # One that is whole by now was sent again in this moment.
        return Scrubbed(size, error.problem if store.set_aside(digest) else "")
    return Scrubbed(size)
