"""Files that documents name with their checksum, fetched into the store when they are needed."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from providers.content.download import Wanted, download
from providers.content.errors import ContentError
from providers.content.store import ContentStore
from providers.content.web import Web


class Fetched(NamedTuple):
    """What became of the files that were asked for."""

    present: tuple[str, ...]
    """The checksums of those that the store has now."""
    failed: tuple[tuple[Wanted, ContentError], ...]


def fetch_files(
    files: Iterable[Wanted],
    store: ContentStore,
    *,
    keep_free: int,
    web: Web | None = None,
    check: Callable[[], None] = lambda: None,
) -> Fetched:
    """Have files in the store; one that cannot be had keeps no other from being fetched.

    ``check`` raises what stops all of it.
    """
    here = web or Web()
    present, failed = [], []
    try:
        for wanted in dict.fromkeys(files):
            try:
                download(here, wanted, store, keep_free=keep_free, check=check)
            except ContentError as error:
                failed.append((wanted, error))
            else:
                present.append(wanted.sha256)
    finally:
        if web is None:
            here.close()
    return Fetched(tuple(present), tuple(failed))
