"""The terminal, and a pager for what does not fit it, as git does it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, cast

from rich.console import Console, RenderableType

PIPED_WIDTH = 140
"""Columns when the output is no terminal: wide enough that a line of a log stays one line."""
_BLANKS_AT_ENDS = re.compile(r" +$", re.MULTILINE)
_VARIABLES = ("RACKWRIGHT_PAGER", "PAGER")
_DEFAULT = "less"
_LESS = "FRX"
"""Leave where it fits after all, pass colours on, keep the text on the screen."""


class _Trimmed:
    """A stream that leaves out the blanks with which tables fill their lines."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_BLANKS_AT_ENDS.sub("", text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _Screen(Console):
    """A console that lets a broken pipe be met: rich ends the process with 1 and says nothing."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console; colours and width follow the terminal, NO_COLOR is honoured.

    What is piped has no blanks at the ends of lines.
    """
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return _Screen(stderr=stderr, soft_wrap=False, highlight=False)
    piped = cast("IO[str]", _Trimmed(stream))
    return _Screen(file=piped, width=PIPED_WIDTH, soft_wrap=False, highlight=False)


def show(console: Console, text: RenderableType, *, paged: bool) -> None:
    """Print ``text``, through the pager where ``paged`` and it is too long for the terminal.

    A pager that does not start is no reason to show nothing: the text is printed then.
    """
    command = pager_command(os.environ) if paged and console.is_terminal else ()
    if not command:
        console.print(text, highlight=False)
        return
    with console.capture() as captured:
        console.print(text, highlight=False)
    rendered = captured.get()
    if rendered.count("\n") < console.height:
        console.file.write(rendered)
        return
    environment = {"LESS": _LESS, **os.environ}
    try:
        subprocess.run(command, input=rendered, text=True, check=False, env=environment)
    except OSError:
        console.file.write(rendered)


def pager_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the pager as an argument list; empty where none is wanted.

    RACKWRIGHT_PAGER goes before PAGER; an empty one, and ``cat``, mean none.
    """
    found = next((environment[name] for name in _VARIABLES if name in environment), _DEFAULT)
    command = tuple(shlex.split(found))
    return () if command == ("cat",) else command
