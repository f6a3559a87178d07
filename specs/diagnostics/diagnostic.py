"""One thing that is wrong in desired state."""

from typing import Literal, NamedTuple

from specs.diagnostics.codes import Code
from specs.diagnostics.position import Position

Severity = Literal["error", "warning"]


class Diagnostic(NamedTuple):
    """What is wrong, where, and what helps.

    An ``error`` keeps the whole revision from being compiled; a ``warning`` does not.
    ``hint`` may be empty.
    """

    position: Position
    code: Code
    severity: Severity
    message: str
    hint: str

    def __str__(self) -> str:
        """Return ``file:line:column: CODE message``, and the hint on a line of its own."""
        word = "warning: " if self.severity == "warning" else ""
        line = f"{self.position}: {self.code} {word}{self.message}"
        return f"{line}\n    hint: {self.hint}" if self.hint else line

    @property
    def sort_key(self) -> tuple[Position, str, str]:
        """Return what problems are ordered by: place, then code, then text."""
        return self.position, self.code, self.message
