"""xfs_repair: whether an XFS file system is intact.

xfs_repair(8): with -n, exit status 1 means damage.
"""

from pathlib import Path

from providers.imaging.checker import run


def arguments(volume: Path) -> list[str]:
    """Return the command that checks a file holding the file system and changes nothing."""
    return ["xfs_repair", "-n", "-f", str(volume)]


def check(volume: Path) -> str:
    """Return what is wrong with the file system in ``volume``, empty if nothing."""
    return run(arguments(volume))
