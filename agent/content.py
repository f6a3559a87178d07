"""Whole files that the server hands out by their SHA-256, fetched into a folder of the machine.

A transfer that broke off goes on where it ended, after a restart too: what arrived is in
``<sha256>.part`` until it is whole and its checksum fits. ``GET /v1/content/<sha256>`` with
Range (RFC 9110, section 14.2).
"""

import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from agent.clock import Clock
from agent.errors import TerminalError, TransientError, UnwritableFileError
from agent.failpoint import failpoint
from agent.rate import Pace
from agent.retry import RetryPolicy, retry
from agent.transport import Transport
from agent.whole_file import sync_folder

if TYPE_CHECKING:
    from hashlib import _Hash

RESERVE = 64 << 20
"""Bytes that a transfer leaves free on the machine's disk."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 18
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_OK, _PARTIAL = 200, 206
if sys.platform == "win32":
    _SAFELY = os.O_BINARY | os.O_NOINHERIT
else:
    _SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC
_RETRY = RetryPolicy(first=1.0, cap=30.0)


@frozen
class ContentFile:
    """A file of the server's content store: its checksum and its size in bytes."""

    sha256: str
    size: int


class WrongContentError(TerminalError):
    """What came is not what was asked for (RW458). Nothing of it was kept."""


def fetch(  # noqa: PLR0913 - where from, what, where to, and how
    transport: Transport,
    file: ContentFile,
    directory: Path,
    check: Callable[[], None],
    progress: Callable[[int, int], None],
    *,
    max_rate: float | None = None,
    clock: Clock | None = None,
    reserve: int = RESERVE,
) -> Path:
    """Return the path of the file in ``directory``, where it has its checksum for a name.

    One that is there already is read and verified, and fetched again if it is damaged. Waits
    for a server that is away, however long; ``check`` is called before each piece and raises when
    the work has to stop. ``progress`` is told the bytes that are there and all that there will
    be. ``max_rate`` is in bytes a second; ``reserve`` is what stays free on the disk.

    Raises UnwritableFileError RW572 where there is no room, before anything is fetched;
    WrongContentError RW458; and what ``Transport.receive`` raises.
    """
    if not _SHA256.fullmatch(file.sha256) or file.size < 0:
        raise _wrong(f"{file.sha256[:80]!r} is not a checksum, or {file.size} no size")
    time = clock or Clock()
    with _writing(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = directory / file.sha256
    if _is_whole(target, file, check):
        progress(file.size, file.size)
        return target
    transfer = _Transfer(transport, file, target, check, progress, Pace(max_rate), time)
    _require_room(directory, file.size - transfer.arrived(), reserve)
    retry(transfer.go_on, _RETRY, time)
    return target


class _Transfer:
    """One file on its way; ``go_on`` may be called again after a TransientError."""

    def __init__(  # noqa: PLR0913, PLR0917 - as ``fetch``
        self,
        transport: Transport,
        file: ContentFile,
        target: Path,
        check: Callable[[], None],
        progress: Callable[[int, int], None],
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._file = file
        self._target = target
        self._part = target.with_suffix(".part")
        self._check = check
        self._progress = progress
        self._pace = pace
        self._clock = clock

    def arrived(self) -> int:
        """Return how many bytes of it are there."""
        try:
            size = self._part.lstat().st_size
        except FileNotFoundError:
            return 0
        return min(size, self._file.size)

    def go_on(self) -> None:
        """Fetch what is missing, verify all of it, and give it its name."""
        self._check()
        with _writing(self._part):
            self._require_whole()
            failpoint("content.before")
            self._part.replace(self._target)
            sync_folder(self._target.parent)
            failpoint("content.after")

    def _require_whole(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | _SAFELY
        with os.fdopen(os.open(self._part, flags, 0o600), "r+b") as part:
            os.ftruncate(part.fileno(), self.arrived())
            digest = hashlib.sha256()
            for piece in iter(lambda: part.read(_PIECE), b""):
                self._check()
                digest.update(piece)
            if part.tell() < self._file.size:
                self._receive(part.fileno(), part.tell(), digest)
            os.fsync(part.fileno())
        if digest.hexdigest() != self._file.sha256:  # Windows removes no file that is open
            self._part.unlink()
            raise _wrong(
                f"what the server sent for {self._file.sha256} has the checksum "
                f"{digest.hexdigest()}"
            )

    def _receive(self, part: int, arrived: int, digest: "_Hash") -> None:
        size = self._file.size
        headers = {"Range": f"bytes={arrived}-"} if arrived else {}
        with self._transport.receive(f"/v1/content/{self._file.sha256}", headers) as answer:
            begin, whole = _place(answer.status, answer.headers, size)
            if whole != size or begin != arrived:
                if begin == 0 and whole == size:
                    os.ftruncate(part, 0)  # it ignores Range: begin anew, with the next request
                    raise _again("the server sent the file from its beginning")
                raise _wrong(
                    f"the server has {whole} bytes from {begin} on of {self._file.sha256}, "
                    f"{size} from {arrived} on were asked for"
                )
            for piece in answer.pieces(_PIECE):
                self._check()
                arrived += len(piece)
                if arrived > size:
                    raise _wrong(f"the server sends more than the {size} bytes that were asked for")
                _write(part, piece)
                digest.update(piece)
                self._progress(arrived, size)
                self._clock.pause(self._pace.pause(len(piece), self._clock.monotonic()))
        if arrived < size:
            raise _again(f"the connection ended after {arrived} of {size} bytes")


def _place(status: int, headers: "dict[str, str]", size: int) -> "tuple[int, int]":
    """Return from where the answer's bytes are, and how large the whole file is."""
    if status == _OK:
        length = headers.get("content-length", "")
        return 0, int(length) if length.isascii() and length.isdigit() else size
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    if status != _PARTIAL or match is None:
        raise _wrong(f"the server answered with status {status} and no range of the file")
    begin, whole = match.groups()
    return int(begin), size if whole == "*" else int(whole)


def _is_whole(target: Path, file: ContentFile, check: Callable[[], None]) -> bool:
    with _writing(target):
        try:
            descriptor = os.open(target, os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            return False
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "rb") as stored:
            for piece in iter(lambda: stored.read(_PIECE), b""):
                check()
                digest.update(piece)
        if digest.hexdigest() == file.sha256:
            return True
        target.unlink()
    return False


def _require_room(directory: Path, needed: int, reserve: int) -> None:
    free = shutil.disk_usage(directory).free
    if free - needed < reserve:
        reason = f"{needed} bytes are needed, {free} are free and {reserve} of them stay so"
        raise UnwritableFileError(directory, reason, errno.ENOSPC)


def _write(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnwritableFileError(path, error.strerror or str(error), error.errno) from error


def _again(cause: str) -> TransientError:
    return TransientError("RW557", cause, "Nothing is needed: it goes on from there")


def _wrong(cause: str) -> WrongContentError:
    return WrongContentError(
        "RW458", cause, "Mirror or publish the package again, and try again after that"
    )
