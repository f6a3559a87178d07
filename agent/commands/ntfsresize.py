"""ntfsresize: the size of an NTFS."""

import re
from pathlib import Path

from agent.commands.runner import run_command
from agent.errors import CommandError

_TIMEOUT = 4 * 3600  # seconds
_BASE = ("ntfsresize", "--force", "--force", "--no-progress-bar")
"""``--force`` once goes on in spite of a check that is due, twice asks nobody."""
_SMALLEST = re.compile(rb"^You might resize at (\d+) bytes", re.MULTILINE)


def grow(device: Path) -> None:
    """Grow the file system to its device's size; Windows will check it. CommandError."""
    run_command([*_BASE, str(device)], timeout=_TIMEOUT)


def smallest(device: Path) -> int:
    """Check the file system and return the fewest bytes that it may have. CommandError."""
    command = [*_BASE, "--info", str(device)]
    return parse_smallest(command, run_command(command, timeout=_TIMEOUT).stdout)


def parse_smallest(command: list[str], output: bytes) -> int:
    """Return the bytes that ``ntfsresize --info`` printed; CommandError without a number."""
    found = _SMALLEST.search(output)
    if found is None:
        raise CommandError(command, "did not say how small it can be", "")
    return int(found[1])


def shrink(device: Path, size: int) -> None:
    """Shrink the file system to fit ``size`` bytes; it is marked to be checked. CommandError."""
    run_command([*_BASE, "--size", str(size), str(device)], timeout=_TIMEOUT)
