"""ntfsfix: whether an NTFS file system is intact.

ntfsfix(8): exit status 0 means that the volume mounts and its mirrors agree.
"""

from pathlib import Path

from providers.imaging.checker import run


def arguments(volume: Path) -> list[str]:
    """Return the command that checks a file holding the file system and changes nothing."""
    return ["ntfsfix", "--no-action", str(volume)]


def check(volume: Path) -> str:
    """Return what is wrong with the file system in ``volume``, empty if nothing."""
    return run(arguments(volume))
