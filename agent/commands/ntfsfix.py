"""ntfsfix: the dirty flag of an NTFS."""

from collections.abc import Callable
from pathlib import Path

from agent.commands.runner import follow_command, run_command
from agent.errors import CommandError

_CHECK = ("ntfsresize", "--info", "--force", "--bad-sectors", "--no-progress-bar")
_CLEAR = ("ntfsfix", "--clear-dirty")
_TIMEOUT = 4 * 3600  # seconds


def repair(device: Path, on_line: Callable[[str], None] = lambda _: None) -> str:
    """Take the dirty flag away where nothing is wrong, and return the command that did it.

    ntfsfix would take it away unseen, and repairs little: so ntfsresize first compares the
    clusters of all files with the bitmap. CommandError where it finds something.
    """
    for command in (_CHECK, _CLEAR):
        argv = [*command, str(device)]
        done = follow_command(argv, on_line, timeout=_TIMEOUT)
        if done.status != 0:
            raise CommandError(argv, f"ended with status {done.status}", done.words, done.status)
    return "ntfsresize --info, ntfsfix --clear-dirty"


def clear_dirty(device: Path) -> None:
    """Take back the mark by which Windows checks the volume, if it can be mounted. CommandError."""
    run_command([*_CLEAR, str(device)])
