"""resize2fs: the size of an ext2, ext3 or ext4."""

from pathlib import Path

from agent.commands.runner import run_command

_TIMEOUT = 4 * 3600  # seconds


def grow(device: Path) -> None:
    """Grow the file system to its device's size; it was checked just before. CommandError."""
    run_command(["resize2fs", str(device)], timeout=_TIMEOUT)
