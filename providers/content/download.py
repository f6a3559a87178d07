"""Fetching one file of the web into the store, going on where a transfer broke off."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from providers.content.errors import (
    ConnectionLostError,
    ContentError,
    EndlessDataError,
    StatusError,
    WrongContentError,
    is_transient,
)
from providers.content.store import ContentStore, Transfer
from providers.content.web import Answer, Web

TRIES = 4
"""How often a transfer that breaks off without having moved on is tried."""
_FIRST_PAUSE = 1.0
_PROGRESS = 64 << 10
"""Bytes that count as having moved on: a server that gives one at a time is given up."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_PARTIAL = 206
_NOT_SATISFIABLE = 416
"""Range Not Satisfiable (RFC 9110, section 15.5.17): what is here is no part of that file."""


@dataclass(frozen=True)
class Wanted:
    """A file of the web and what it must be. ``size`` is in bytes, None where nobody says it."""

    url: str
    sha256: str
    size: int | None = None


def download(  # noqa: PLR0913 - where from, what, where to, and how
    web: Web,
    wanted: Wanted,
    store: ContentStore,
    *,
    keep_free: int,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Have a file in the store, verified.

    A transfer that breaks off goes on; it is given up after a few times in a row without
    progress. ``check`` is called at each piece and raises what stops the transfer; ``progress``
    is told how many bytes came. Raises ContentError.
    """
    failures = 0
    while True:
        before = store.arrived(wanted.sha256)
        try:
            _try(web, wanted, store, keep_free, check, progress)
        except ContentError as error:
            moved = store.arrived(wanted.sha256) - before >= _PROGRESS
            failures = 1 if moved else failures + 1
            if not is_transient(error) or failures >= TRIES:
                raise
            check()
            web.wait(_FIRST_PAUSE * 2 ** (failures - 1))
        else:
            return


def _try(  # noqa: PLR0913, PLR0917 - as above
    web: Web,
    wanted: Wanted,
    store: ContentStore,
    keep_free: int,
    check: Callable[[], None],
    progress: Callable[[int], None],
) -> None:
    with store.transfer(wanted.sha256, keep_free) as transfer:
        if transfer is None:
            return
        resumed = transfer.is_resumed
        if wanted.size is not None and transfer.size > wanted.size:
            transfer.restart()
        try:
            if transfer.size == 0 or transfer.size != wanted.size:
                _receive(web, wanted, transfer, check, progress)
            transfer.finish(wanted.url)
        except (WrongContentError, StatusError) as error:
            # What was there of an earlier transfer may be damaged, or of another file.
            is_status = isinstance(error, StatusError) and error.status != _NOT_SATISFIABLE
            if not resumed or is_status:
                raise
            transfer.restart()
            _receive(web, wanted, transfer, check, progress)
            transfer.finish(wanted.url)


def _receive(
    web: Web,
    wanted: Wanted,
    transfer: Transfer,
    check: Callable[[], None],
    progress: Callable[[int], None],
) -> None:
    check()
    headers = {"Range": f"bytes={transfer.size}-"} if transfer.size else {}
    with web.get(wanted.url, headers) as answer:
        if answer.status != _PARTIAL:
            transfer.restart()  # all of it comes, whatever was asked for
        _require_place(answer, transfer.size, wanted)
        for piece in answer.pieces():
            check()
            if wanted.size is not None and transfer.size + len(piece) > wanted.size:
                transfer.restart()
                raise EndlessDataError(wanted.url, wanted.size)
            transfer.append(piece)
            progress(len(piece))
    if wanted.size is not None and transfer.size < wanted.size:
        raise ConnectionLostError(
            wanted.url, f"it ended after {transfer.size:,} of {wanted.size:,} bytes"
        )


def _require_place(answer: Answer, size: int, wanted: Wanted) -> None:
    """Refuse a part of the file that was not asked for, and one of a file of another size."""
    if answer.status != _PARTIAL:
        return
    match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if match is None or int(match[1]) != size:
        said = answer.headers.get("content-range", "")[:100]
        raise WrongContentError(
            f"{wanted.url} (range {said!r}, from {size} was asked for)",
            wanted.sha256,
            "of another part",
        )
