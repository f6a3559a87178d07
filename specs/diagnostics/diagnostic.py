"""What is wrong in desired state, collected so that all of a repository is reported at once."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from specs.diagnostics.codes import Code
from specs.diagnostics.position import Position

MOST_PER_DOCUMENT = 100
"""Problems that one document is searched for. Beyond, it is not what it was meant to be, and
placing each in a document of a million lines would take hours."""

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


class Diagnostics:
    """A growing set of problems; the same one is kept once."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}

    def error(self, position: Position, code: Code, message: str, hint: str = "") -> None:
        """Add what keeps the revision from being compiled."""
        self._found[Diagnostic(position, code, "error", message, hint)] = None

    def warning(self, position: Position, code: Code, message: str, hint: str = "") -> None:
        """Add what a person should know, but which stops nothing."""
        self._found[Diagnostic(position, code, "warning", message, hint)] = None

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Add problems that were found elsewhere."""
        self._found.update(dict.fromkeys(diagnostics))

    @property
    def has_errors(self) -> bool:
        """Return whether one of them is an error."""
        return any(problem.severity == "error" for problem in self._found)

    def in_order(self) -> tuple[Diagnostic, ...]:
        """Return them by file, line and column."""
        return tuple(sorted(self._found, key=lambda problem: problem.sort_key))
