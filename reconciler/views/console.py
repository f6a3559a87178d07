"""The terminal."""

import sys

from rich.console import Console

PIPED_WIDTH = 140
"""Columns when the output is no terminal: wide enough that a line of a log stays one line."""


def console(*, stderr: bool = False) -> Console:
    """Return a console; colours and width follow the terminal, NO_COLOR is honoured."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=False, highlight=False)
