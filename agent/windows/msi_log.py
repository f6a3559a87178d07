"""What a log of Windows Installer says of a failure, whatever language it is in. Pure.

Source: Microsoft, "Windows Installer Logging", "Logging of Action Return Values": an action that
failed ends with value 3. The words around are translated; the order is not: a time, the
action's name, words, the value. Logs are UTF-16 with a mark; without one, they are read as UTF-8.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from attrs import frozen

_ENDED = re.compile(
    r"[^:]{0,80}\d{1,2}:\d\d:\d\d\s*[:\uff1a]\s*([A-Za-z_][\w.]{0,80}?)[.\u3002]\s+[^0-9]{1,60}(\d)[.\u3002]?\s*"
)
_ERROR = re.compile(r"(?:.{0,200} -- )?[^\W\d]{2,20}\s(\d{4,5})[.:\uff1a]\s*(\S.{0,400})")
_FAILED = "3"
_SUCCEEDED = "1"
_MOST_READ = 256 << 20
_PIECE = 256 << 10
_LONGEST_LINE = 1000
_TAIL_CHARACTERS = 12 << 10


@frozen
class MsiLog:
    """A log's gist. ``action`` failed first; ``error`` is what was said of it, with a number."""

    action: str = ""
    error: str = ""
    tail: str = ""

    @property
    def cause(self) -> str:
        """The action and the error in a line; empty where the log has neither."""
        said = f"the action {self.action} failed" if self.action else ""
        return ": ".join(part for part in (said, self.error) if part)


def read_log(file: BinaryIO) -> MsiLog:
    """Return the gist of a log, however long it is; only its end is kept in memory."""
    return gist(_lines(file))


def gist(lines: Iterable[str]) -> MsiLog:
    """Return the gist of a log's lines.

    Without an action that ended with 3, the first that did not end with 1 is taken.
    """
    failed = unfinished = error = last_error = ""
    tail: deque[str] = deque()
    size = 0
    for line in lines:
        ended = _ENDED.fullmatch(line)
        if ended and ended.group(2) == _FAILED and not failed:
            failed, error = ended.group(1), last_error
        elif ended and ended.group(2) != _SUCCEEDED:
            unfinished = unfinished or ended.group(1)
        elif not failed and (said := _ERROR.fullmatch(line)):
            last_error = f"error {said.group(1)}: {said.group(2).strip()}"
        tail.append(line)
        size += len(line) + 1
        while size > _TAIL_CHARACTERS and len(tail) > 1:
            size -= len(tail.popleft()) + 1
    return MsiLog(failed or unfinished, error or last_error, "\n".join(tail))


def _lines(file: BinaryIO) -> Iterator[str]:
    start = file.read(2)
    is_wide = start == codecs.BOM_UTF16_LE
    decoder = codecs.getincrementaldecoder("utf-16-le" if is_wide else "utf-8")("replace")
    rest = "" if is_wide else decoder.decode(start)
    for _ in range(_MOST_READ // _PIECE):
        piece = file.read(_PIECE)
        rest += decoder.decode(piece, final=not piece)
        *whole, rest = rest.split("\n")
        yield from (line.rstrip("\r")[:_LONGEST_LINE] for line in whole)
        rest = rest[:_PIECE]
        if not piece:
            break
    if rest:
        yield rest[:_LONGEST_LINE]
