"""Reading serial consoles while machines write them."""

import os
import re
import time
from pathlib import Path

# CSI sequences, two-byte escapes, and carriage returns: firmware and boot loaders paint.
_PAINT = re.compile(r"\x1b\[[0-9;?=]*[ -/]*[@-~]|\x1b[ -/]*[0-Z\\^-~]|\r|\x00")
_UNFINISHED = re.compile(r"\x1b[^@-~]*\Z|\x1b\[[0-9;?=]*\Z")
_LOOK_SECONDS = 0.05
_TAIL_LINES = 15


def plain_text(data: bytes) -> str:
    """Return console output without colours, cursor movements and carriage returns.

    An escape sequence that is not complete yet is held back.
    """
    return _PAINT.sub("", _UNFINISHED.sub("", data.decode("utf-8", "replace")))


class Console:
    """A machine's console since it was last powered on; a power cycle starts it anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._data = b""
        self._seen = 0  # characters of the plain text that earlier matches used up

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """Return the next match of a regular expression, after those returned before.

        Waits up to ``timeout`` seconds, for the machine's start as well; AssertionError with
        the console's last lines when it does not come. ``^`` and ``$`` match at lines.
        """
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            is_late = time.monotonic() >= deadline
            self._read()
            text = plain_text(self._data)
            if match := expression.search(text, self._seen):
                self._seen = match.end()
                return match
            if is_late:
                last = "\n".join(text.splitlines()[-_TAIL_LINES:])
                raise AssertionError(
                    f"no {pattern!r} within {timeout:g} s on {self._path}:\n{last}"
                )
            time.sleep(_LOOK_SECONDS)

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
