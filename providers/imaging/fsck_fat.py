"""fsck.fat: whether a FAT file system is intact.

fsck.fat(8): exit status 0 means no errors.
"""

from pathlib import Path

from providers.imaging.checker import run


def arguments(volume: Path) -> list[str]:
    """Return the command that checks a file holding the file system and changes nothing."""
    return ["fsck.fat", "-n", str(volume)]


def check(volume: Path) -> str:
    """Return what is wrong with the file system in ``volume``, empty if nothing."""
    return run(arguments(volume))
