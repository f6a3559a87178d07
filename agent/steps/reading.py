"""The steps ``listFolder`` and ``readFile``: what is read is brought to the server."""

from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from agent.commands.supervised import run_supervised
from agent.errors import TerminalError
from agent.files.reading_program import ReadingAnswer, ReadingOrder, answer_in, arguments
from agent.whole_file import write_atomically
from agent.wire.codec import encode
from agent.wire.step import ListFolder, ReadFile

_ORDER = "reading-order.json"
_MODE = 0o600
_SECONDS = 1800.0

Bring = Callable[[Path, str, int], None]
"""Brings the server a file, given its SHA-256 and size."""


@frozen
class ReadingContext:
    """What the steps work with; ``check`` raises when they have to stop."""

    state: Path
    bring: Bring
    check: Callable[[], None]


def no_server(_path: Path, _sha256: str, _size: int) -> None:
    """Refuse to bring a file: for steps that read none (TerminalError RW570)."""
    raise TerminalError(
        "RW570",
        "this agent has no way to bring a file to the server",
        "Report this: the server planned an impossible operation",
    )


def list_folder_step(step: ListFolder, context: ReadingContext) -> dict[str, str]:
    """Bring the list of what is in a folder; return how many entries it has, and there are.

    Raises what ``agent.files.reading.list_folder`` raises, and TerminalError RW597 where the
    program that reads was ended. Harmless when it is done again.
    """
    answer = _read(ReadingOrder(step.path, str(_target(context))), context)
    return {
        "sha256": answer.sha256,
        "size": str(answer.size),
        "entries": str(answer.entries),
        "total": str(answer.total),
    }


def read_file_step(step: ReadFile, context: ReadingContext) -> dict[str, str]:
    """Bring the content of a file; return its SHA-256 and size.

    Raises what ``agent.files.reading.copy_file`` raises, and as ``list_folder_step``.
    """
    order = ReadingOrder(step.path, str(_target(context)), step.most, step.follow)
    answer = _read(order, context)
    return {"sha256": answer.sha256, "size": str(answer.size)}


def _target(context: ReadingContext) -> Path:
    return context.state / "fetched" / "read"


def _read(order: ReadingOrder, context: ReadingContext) -> ReadingAnswer:
    target, path = Path(order.target), context.state / _ORDER
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, encode(order), _MODE)
    try:
        ended = run_supervised(arguments(path), timeout=_SECONDS, check=context.check)
        answer = answer_in(ended.output) if ended.status == 0 else None
        if answer is None:
            raise TerminalError(
                "RW597",
                f"{order.path} was not read: the program that does it ended with {ended.status}"
                f"{f': {ended.last_line}' if ended.last_line else ''}",
                "Run it again; if it recurs, report this with the agent's log",
            )
        answer.require_read()
        context.bring(target, answer.sha256, answer.size)
    finally:
        path.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
    return answer
