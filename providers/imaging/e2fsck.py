"""e2fsck: whether an ext2/3/4 file system is intact.

e2fsck(8): exit status 0 means no errors, anything else some.
"""

from pathlib import Path

from providers.imaging.checker import run


def arguments(disk: Path, offset: int) -> list[str]:
    """Return the command; ``?offset=`` is libext2fs' syntax for a part of a file."""
    return ["e2fsck", "-f", "-n", f"{disk}?offset={offset}"]


def check(disk: Path, offset: int) -> str:
    """Return what is wrong with the file system at ``offset`` of ``disk``, empty if nothing."""
    return run(arguments(disk, offset))
