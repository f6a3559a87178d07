"""resize2fs: the size of an ext2, ext3 or ext4."""

import re
from pathlib import Path

from agent.commands.runner import run_command
from agent.errors import CommandError

_TIMEOUT = 4 * 3600  # seconds
_SMALLEST = re.compile(rb"^Estimated minimum size of the filesystem: (\d+)$", re.MULTILINE)


def grow(device: Path) -> None:
    """Grow the file system to its device's size; it was checked just before. CommandError."""
    run_command(["resize2fs", str(device)], timeout=_TIMEOUT)


def smallest(device: Path) -> int:
    """Return the fewest blocks that a file system, checked just before, may have. CommandError."""
    command = ["resize2fs", "-P", str(device)]
    return parse_smallest(command, run_command(command, timeout=_TIMEOUT).stdout)


def parse_smallest(command: list[str], output: bytes) -> int:
    """Return the number of blocks that ``resize2fs -P`` printed; CommandError without one."""
    found = _SMALLEST.search(output)
    if found is None:
        raise CommandError(command, "did not say how small it can be", "")
    return int(found[1])


def shrink(device: Path, size: int) -> None:
    """Shrink the file system to ``size`` bytes, less what is no whole block. CommandError.

    It was checked just before. Where it is in a file, that becomes shorter too.
    """
    run_command(["resize2fs", str(device), f"{size // 1024}K"], timeout=_TIMEOUT)
