"""Reading serial consoles while machines write them."""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import watch

from providers.lab.errors import console_silent

# CSI sequences, two-byte escapes, and carriage returns: firmware and boot loaders paint.
_PAINT = re.compile(r"\x1b\[[0-9;?=]*[ -/]*[@-~]|\x1b[ -/]*[0-Z\\^-~]|\r|\x00")
_UNFINISHED = re.compile(r"\x1b[^@-~]*\Z|\x1b\[[0-9;?=]*\Z")
_STEP_MILLISECONDS = 20
_DEBOUNCE_MILLISECONDS = 100
_LOOK_ANYWAY_MILLISECONDS = 500  # what was written between looking and watching
_TAIL_BYTES = 16_384


def plain_text(data: bytes) -> str:
    """Return console output without colours, cursor movements and carriage returns.

    An escape sequence that is not complete yet is held back.
    """
    return _PAINT.sub("", _UNFINISHED.sub("", data.decode("utf-8", "replace")))


@dataclass(frozen=True, slots=True)
class ConsoleMatch:
    """What was waited for. ``groups`` are the pattern's, None for those that did not match."""

    text: str
    groups: tuple[str | None, ...]


class Console:
    """A machine's console since it was last powered on; a power cycle starts it anew."""

    def __init__(self, machine: str, path: Path) -> None:
        self._machine = machine
        self._path = path
        self._inode: int | None = None
        self._data = b""
        self._seen = 0  # characters of the plain text that earlier matches used up

    def wait_for(self, pattern: str, timeout: float) -> ConsoleMatch:
        """Return the next match of a regular expression, after those returned before.

        Waits up to ``timeout`` seconds, for the machine's start as well; RW812 with the
        console's last lines when it does not come. ``^`` and ``$`` match at lines.
        """
        expression = re.compile(pattern, re.MULTILINE)
        for _ in changes(self._path, timeout):
            self._read()
            text = plain_text(self._data)
            if match := expression.search(text, self._seen):
                self._seen = match.end()
                return ConsoleMatch(match[0], match.groups())
        raise console_silent(self._machine, pattern, timeout, plain_text(self._data))

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._inode, self._data, self._seen = inode, b"", 0
                file.seek(len(self._data))
                self._data += file.read()
        except FileNotFoundError:
            return


def changes(path: Path, timeout: float | None) -> Iterator[None]:
    """Yield at once, then whenever the folder of ``path`` changes, and once more at the end.

    Ends after ``timeout`` seconds; None: never.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    yield
    for _ in watch(
        path.parent,
        watch_filter=None,
        recursive=False,
        debounce=_DEBOUNCE_MILLISECONDS,
        step=_STEP_MILLISECONDS,
        rust_timeout=_LOOK_ANYWAY_MILLISECONDS,
        yield_on_timeout=True,
    ):
        yield
        if deadline is not None and time.monotonic() >= deadline:
            return


def follow(path: Path) -> Iterator[bytes]:
    """Yield a console's output from its beginning and for ever, over power cycles."""
    inode, position = None, 0
    for _ in changes(path, None):
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != inode:
                    inode, position = os.fstat(file.fileno()).st_ino, 0
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            continue
        position += len(data)
        if data:
            yield data


def tail(path: Path) -> str:
    """Return the last lines of a console as plain text; empty when it never ran."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return plain_text(file.read())
    except FileNotFoundError:
        return ""
