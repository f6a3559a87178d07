"""Places in files."""

from typing import NamedTuple


class Position(NamedTuple):
    """A place in a file of the repository; line and column count from 1, 0 is for no file."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``file:line:column``, which terminals and editors can open."""
        return self.file if not self.line else f"{self.file}:{self.line}:{self.column}"


COMMAND_LINE = Position("the command line", 0, 0)
"""Where what a person asked for by hand is written: in no file."""
