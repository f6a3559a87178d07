"""The step ``files``: what of it was to be done, and is done."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from agent.commands.supervised import run_supervised
from agent.errors import TerminalError
from agent.files.place import is_right, require_possible
from agent.files.program import FilesAnswer, FilesOrder, answer_in, arguments, carry_out
from agent.whole_file import write_atomically
from agent.wire.codec import encode
from agent.wire.step import PlaceFiles

_ORDER = "files-order.json"
_MODE = 0o600
_SECONDS = 3600.0


@frozen
class FilesContext:
    """What the step works with; ``check`` raises when it has to stop.

    ``fetch`` returns where a file of the server lies, by its SHA-256 and size.
    """

    state: Path
    operation: str
    fetch: Callable[[str, int], Path]
    check: Callable[[], None]


def place_files_step(step: PlaceFiles, context: FilesContext) -> dict[str, str]:
    """Bring the files in their order, then remove what is to go; return what was done.

    What is right already is neither fetched nor touched. Raises what ``agent.files.place``
    raises, RW228 and RW229 before anything is done, and TerminalError RW597 where the program that
    does it was ended. What was done before an error stays, and is left alone when the step is done
    again.
    """
    require_possible(step.files, step.remove)
    wanted = [file for file in step.files if not is_right(file)]
    content = context.state / "fetched" / "placed"
    content.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in wanted:
        context.check()
        if file.kind == "file" and not (content / file.sha256).exists():
            os.link(context.fetch(file.sha256, file.size), content / file.sha256)
    order = FilesOrder(
        str(context.state), context.operation, str(content), tuple(wanted), step.remove
    )
    # A service of Windows writes wherever its account may.
    answer = carry_out(order) if sys.platform == "win32" else _carried_out(order, context)
    answer.require_done()
    kept = context.state / "files" / context.operation
    return {
        "placed": str(answer.placed),
        "unchanged": str(len(step.files) - answer.placed),
        "removed": str(answer.removed),
        **({"kept": str(kept)} if kept.exists() else {}),
    }


def _carried_out(order: FilesOrder, context: FilesContext) -> FilesAnswer:
    """Have the order carried out outside of the agent's service, which sees the system read-only.

    TerminalError RW597.
    """
    path = context.state / _ORDER
    write_atomically(path, encode(order), _MODE)
    try:
        ended = run_supervised(arguments(path), timeout=_SECONDS, check=context.check)
    finally:
        path.unlink(missing_ok=True)
    answer = answer_in(ended.output) if ended.status == 0 else None
    if answer is None:
        raise TerminalError(
            "RW597",
            f"files could not be brought: the program that does it ended with {ended.status}"
            f"{f': {ended.last_line}' if ended.last_line else ''}",
            "Run it again; if it recurs, report this with the agent's log",
        )
    return answer
