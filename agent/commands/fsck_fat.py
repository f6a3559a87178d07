"""fsck.fat: the repair of a FAT."""

from collections.abc import Callable
from pathlib import Path

from agent.commands.runner import follow_command
from agent.errors import CommandError

_COMMAND = ("fsck.fat", "-a")
_TIMEOUT = 4 * 3600  # seconds
_DONE = (0, 1)


def repair(device: Path, on_line: Callable[[str], None] = lambda _: None) -> str:
    """Repair what can be and return the command that did it; CommandError.

    It takes the dirty bit away, Windows' in the table too, and frees clusters without a file.
    """
    command = [*_COMMAND, str(device)]
    done = follow_command(command, on_line, timeout=_TIMEOUT)
    if done.status not in _DONE:
        raise CommandError(command, f"ended with status {done.status}", done.words, done.status)
    return " ".join(_COMMAND)
