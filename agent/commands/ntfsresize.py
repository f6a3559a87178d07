"""ntfsresize: the size of an NTFS."""

from pathlib import Path

from agent.commands.runner import run_command

_TIMEOUT = 4 * 3600  # seconds


def grow(device: Path) -> None:
    """Grow the file system to its device's size; Windows checks it at its next start. CommandError.

    ``--force`` once goes on in spite of a check that is due, twice asks nobody.
    """
    command = ["ntfsresize", "--force", "--force", "--no-progress-bar", str(device)]
    run_command(command, timeout=_TIMEOUT)
