"""ntfsfix: marks of an NTFS."""

from pathlib import Path

from agent.commands.runner import run_command


def clear_dirty(device: Path) -> None:
    """Take back the mark by which Windows checks the volume, if it can be mounted. CommandError."""
    run_command(["ntfsfix", "--clear-dirty", str(device)])
