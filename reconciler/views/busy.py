"""A line that stands on the terminal while something takes seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ERASE = "\r\x1b[K"


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show ``text`` on standard error meanwhile; nothing where that is no terminal.

    The line does not move: a thread that moved it would be in the way of processes that
    are forked.
    """
    if not sys.stderr.isatty():
        yield
        return
    sys.stderr.write(f"{text} ...")
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
