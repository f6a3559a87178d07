"""Reading serial consoles while machines write them."""

import os
from collections.abc import Iterator
from pathlib import Path

from watchfiles import watch

_STEP_MILLISECONDS = 20
_DEBOUNCE_MILLISECONDS = 100
_LOOK_ANYWAY_MILLISECONDS = 500  # what was written between looking and watching


def follow(path: Path) -> Iterator[bytes]:
    """Yield a console's output from its beginning and for ever, over power cycles."""
    inode, position = None, 0
    for _ in _changes(path):
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != inode:
                    inode, position = os.fstat(file.fileno()).st_ino, 0
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            continue
        position += len(data)
        if data:
            yield data


def _changes(path: Path) -> Iterator[None]:
    """Yield at once, then whenever the folder of ``path`` changes."""
    yield
    for _ in watch(
        path.parent,
        watch_filter=None,
        recursive=False,
        debounce=_DEBOUNCE_MILLISECONDS,
        step=_STEP_MILLISECONDS,
        rust_timeout=_LOOK_ANYWAY_MILLISECONDS,
        yield_on_timeout=True,
    ):
        yield
