"""e2fsck: the check and the repair of an ext2, ext3 or ext4."""

from collections.abc import Callable
from pathlib import Path

from agent.commands.runner import follow_command, run_command
from agent.errors import CommandError

_TIMEOUT = 4 * 3600  # seconds; a file system of many terabytes takes hours
_REPAIRED = 1


def check(device: Path) -> None:
    """Check the whole file system and repair what is safe to; CommandError for anything else."""
    run_command(["e2fsck", "-f", "-p", str(device)], accept=(0, _REPAIRED), timeout=_TIMEOUT)


def repair(device: Path, on_line: Callable[[str], None] = lambda _: None) -> str:
    """Repair all that can be, first what is safe to; return the command that did it.

    ``-y`` answers every question with yes: what is damaged beyond repair is taken away, and
    files without a name go to ``lost+found``. CommandError where that fails.
    """
    careful = follow_command(["e2fsck", "-f", "-p", str(device)], on_line, timeout=_TIMEOUT)
    if careful.status in (0, _REPAIRED):
        return "e2fsck -f -p"
    command = ["e2fsck", "-f", "-y", str(device)]
    done = follow_command(command, on_line, timeout=_TIMEOUT)
    if done.status not in (0, _REPAIRED):
        raise CommandError(command, f"ended with status {done.status}", done.words, done.status)
    return "e2fsck -f -y"
