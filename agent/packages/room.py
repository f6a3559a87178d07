"""Whether there is room for a package."""

import os
from collections.abc import Iterable
from pathlib import Path

from agent.errors import TransientError

TIMES = 3
"""What a package needs: the file, what it unpacks to, and what it replaces until it is done."""
_MIB = 1 << 20


def require_room(name: str, needed: int, folders: Iterable[Path]) -> None:
    """Raise TransientError RW213 where a file system has less than ``needed`` bytes free."""
    for folder in folders:
        status = os.statvfs(folder)
        free = status.f_bavail * status.f_frsize
        if free < needed:
            raise TransientError(
                "RW213",
                f"{name}: {folder} has {_words(free)} free, and {_words(needed)} are needed",
                "Make room there, and run it again",
            )


def _words(size: int) -> str:
    return f"{size / _MIB:.1f} MiB"
