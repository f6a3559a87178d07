"""Which store lies in a folder: ``store.json``, written when the store was made.

The folder may be where a file system is mounted. Without this file, an empty folder below a mount
that is away would look like a store that has lost all its images.
"""

import os
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from attrs import frozen

from agent.errors import CodedError
from agent.whole_file import write_atomically
from providers.imaging.errors import StoreAwayError
from providers.imaging.image_record import encode, read

FILE = "store.json"
_MODE = 0o600
ANSWER_SECONDS = 10.0
"""Seconds that a file server has to say what lies in the folder."""
NO_ANSWER = "it does not answer within {:g} s"
_OF_A_STORE = frozenset(("chunks", "images", "tags"))


@frozen
class StoreIdentity:
    """Content of ``store.json``."""

    id: str
    """32 hex digits, random."""
    created: str
    """ISO 8601, UTC."""


class FoundStore(NamedTuple):
    """What lies in a folder."""

    identity: str
    """Empty where there is no ``store.json``."""
    has_content: bool
    """Whether folders of a store are there."""
    is_read_only: bool


def found_at(root: Path) -> FoundStore:
    """Look at a folder, which need not be there; OSError where that cannot be told.

    Raises DamagedRecordError where ``store.json`` is damaged.
    """
    try:
        names = frozenset(each.name for each in root.iterdir())
    except FileNotFoundError:
        return FoundStore("", has_content=False, is_read_only=False)
    is_read_only = bool(os.statvfs(root).f_flag & os.ST_RDONLY)
    has_content = not names.isdisjoint(_OF_A_STORE)
    if FILE not in names:
        return FoundStore("", has_content, is_read_only)
    return FoundStore(read(StoreIdentity, root / FILE).id, has_content, is_read_only)


def found_in_time(root: Path, seconds: float) -> FoundStore:
    """Look as ``found_at``; StoreAwayError where that takes longer, as of a server that is away."""
    results: SimpleQueue[FoundStore | Exception] = SimpleQueue()

    def look() -> None:
        try:
            results.put(found_at(root))
        except (OSError, CodedError) as error:
            results.put(error)

    threading.Thread(target=look, name="look at the image store", daemon=True).start()
    try:
        found = results.get(timeout=seconds)
    except Empty:
        raise StoreAwayError(root, NO_ANSWER.format(seconds)) from None
    if isinstance(found, Exception):
        raise found
    return found


def write_identity(root: Path, identity: StoreIdentity) -> None:
    """Give a store its identity. UnwritableFileError RW572."""
    write_atomically(root / FILE, encode(identity), _MODE)
