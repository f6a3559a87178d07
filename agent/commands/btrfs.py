"""btrfs: the size of a mounted Btrfs."""

import re
from pathlib import Path

from agent.commands.runner import run_command
from agent.errors import CommandError

_TIMEOUT = 12 * 3600  # seconds; what lies behind the new end is copied
_SMALLEST = re.compile(rb"^(\d+) bytes", re.MULTILINE)


def smallest(place: Path) -> int:
    """Return about how many bytes the device of a file system has to have. CommandError."""
    command = ["btrfs", "inspect-internal", "min-dev-size", str(place)]
    return parse_smallest(command, run_command(command).stdout)


def parse_smallest(command: list[str], output: bytes) -> int:
    """Return the bytes that ``btrfs`` printed; CommandError without a number."""
    found = _SMALLEST.search(output)
    if found is None:
        raise CommandError(command, "did not say how small it can be", "")
    return int(found[1])


def resize(place: Path, size: int) -> None:
    """Let the file system have ``size`` bytes of its device. CommandError."""
    run_command(["btrfs", "filesystem", "resize", str(size), str(place)], timeout=_TIMEOUT)
