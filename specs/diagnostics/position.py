"""Places in files."""

from typing import NamedTuple


class Position(NamedTuple):
    """A place in a file of the repository; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``file:line:column``, which terminals and editors can open."""
        return f"{self.file}:{self.line}:{self.column}"
