"""Reads files as a program of its own, outside of the agent's service.

The service has a ``/tmp`` of its own, and other views of the system's file systems. This program
is started as installers are and sees what everybody sees. It writes what it read into a folder of
the agent, for it to send on, and prints what that is.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from agent.errors import CodedError, TerminalError
from agent.files.program import ROOT
from agent.files.reading import copy_file, list_folder
from agent.whole_file import write_atomically
from agent.wire.codec import decode, encode

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from agent.files.reading_program import main; "
    "main()"
)
_MODE = 0o600


@frozen
class ReadingOrder:
    """What is to be read, and into which new file; ``most`` bytes of a file, -1 for a listing."""

    path: str
    target: str
    most: int = -1
    follow: bool = False


@frozen
class ReadingAnswer:
    """What was read: ``entries`` of a listing. An error has a ``code``."""

    sha256: str = ""
    size: int = 0
    entries: int = 0
    total: int = 0
    code: str = ""
    cause: str = ""
    action: str = ""

    def require_read(self) -> None:
        """Raise the error that ended it, where one did."""
        if self.code:
            raise TerminalError(self.code, self.cause, self.action)


def arguments(order: Path) -> list[str]:
    """Return the command that carries out the order in a file."""
    return [sys.executable, "-sE", "-c", _START, str(ROOT), str(order)]


def carry_out(order: ReadingOrder) -> ReadingAnswer:
    """Read what is wanted."""
    target = Path(order.target)
    target.unlink(missing_ok=True)  # of an agent that was ended in the middle
    try:
        if order.most >= 0:
            found = copy_file(Path(order.path), target, order.most, follow=order.follow)
            return ReadingAnswer(*found)
        listing = list_folder(Path(order.path))
        text = encode(listing)
        write_atomically(target, text, _MODE)
    except CodedError as error:
        return ReadingAnswer(code=error.code, cause=error.cause, action=error.action)
    digest = hashlib.sha256(text).hexdigest()
    return ReadingAnswer(digest, len(text), len(listing.entries), listing.total)


def answer_in(output: str) -> ReadingAnswer | None:
    """Return the answer that the program printed last; None where it printed none."""
    lines = output.strip().splitlines()
    try:
        return decode(ReadingAnswer, lines[-1].encode()) if lines else None
    except ValueError:
        return None


def main(argv: Sequence[str] | None = None) -> None:
    """Carry out the order in the file that the last argument names; print the answer."""
    path = Path((argv or sys.argv)[-1])
    answer = carry_out(decode(ReadingOrder, path.read_bytes()))
    sys.stdout.write(json.dumps(json.loads(encode(answer))) + "\n")
