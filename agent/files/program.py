"""Brings and removes files as a program of its own, outside of the agent's service.

The service sees the system read-only. What it cannot write itself it has done by this program,
which is started as installers are, and gets its order by a file that only root may read.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from agent.errors import CodedError, TerminalError
from agent.files.kept import KeptFiles
from agent.files.place import place, remove
from agent.wire.codec import decode, encode
from agent.wire.files import PlacedFile

ROOT = Path(__file__).parents[2]
"""The folder that has the agent's packages."""
_START = "import sys; sys.path.insert(0, sys.argv[1]); from agent.files.program import main; main()"


@frozen
class FilesOrder:
    """What is to be done. ``content`` has the files by their SHA-256."""

    state: str
    operation: str
    content: str
    files: tuple[PlacedFile, ...]
    remove: tuple[str, ...]


@frozen
class FilesAnswer:
    """What was done, and the error that ended it; an empty ``code`` for none."""

    placed: int
    removed: int
    code: str = ""
    cause: str = ""
    action: str = ""

    def require_done(self) -> None:
        """Raise the error that ended it, where one did."""
        if self.code:
            raise TerminalError(self.code, self.cause, self.action)


def arguments(order: Path) -> list[str]:
    """Return the command that carries out the order in a file."""
    return [sys.executable, "-sE", "-c", _START, str(ROOT), str(order)]


def carry_out(order: FilesOrder) -> FilesAnswer:
    """Bring the files in their order, then remove what is to go.

    What was done before an error stays, and is left alone when it is done again.
    """
    kept = KeptFiles(Path(order.state), order.operation)
    content = Path(order.content)
    placed = removed = 0
    try:
        for wanted in order.files:
            placed += place(wanted, lambda sha256, _size: content / sha256, kept)
        for target in order.remove:
            removed += remove(target, kept)
    except CodedError as error:
        return FilesAnswer(placed, removed, error.code, error.cause, error.action)
    kept.forget_older()
    return FilesAnswer(placed, removed)


def answer_in(output: str) -> FilesAnswer | None:
    """Return the answer that the program printed last; None where it printed none."""
    lines = output.strip().splitlines()
    try:
        return decode(FilesAnswer, lines[-1].encode()) if lines else None
    except ValueError:
        return None


def main(argv: Sequence[str] | None = None) -> None:
    """Carry out the order in the file that the last argument names; print the answer."""
    path = Path((argv or sys.argv)[-1])
    answer = carry_out(decode(FilesOrder, path.read_bytes()))
    sys.stdout.write(json.dumps(json.loads(encode(answer))) + "\n")
