"""What compiled fleets depend on besides their files: this program."""

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
        for path in sorted(folder.rglob("*.py")):
            state = path.stat()
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
