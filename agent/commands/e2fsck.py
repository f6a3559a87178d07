"""e2fsck: the check of an ext2, ext3 or ext4."""

from pathlib import Path

from agent.commands.runner import run_command

_TIMEOUT = 4 * 3600  # seconds; a file system of many terabytes takes hours
_REPAIRED = 1


def check(device: Path) -> None:
    """Check the whole file system and repair what is safe to; CommandError for anything else."""
    run_command(["e2fsck", "-f", "-p", str(device)], accept=(0, _REPAIRED), timeout=_TIMEOUT)
