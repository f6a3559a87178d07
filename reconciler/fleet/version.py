"""What compiled fleets depend on besides their files: this program."""

import os
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

import specs

_PACKAGE = Path(specs.__file__).parent


@cache
def program_version() -> str:
    """Return a digest that changes whenever the code that compiles and plans changes.

    By size and time of change of its files, which costs a millisecond: a version number
    would stay the same while somebody works on the code.
    """
    folders = (_PACKAGE, Path(__file__).parent, _PACKAGE.parent / "reconciler" / "planning")
    digest = blake2b(digest_size=8)
    for folder in folders:
        for line in sorted(_lines(str(folder))):
            digest.update(line.encode())
    return digest.hexdigest()


def _lines(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                state = entry.stat()
                yield f"{entry.path} {state.st_size} {state.st_mtime_ns}\n"
            elif entry.is_dir():
                yield from _lines(entry.path)
