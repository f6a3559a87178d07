"""How the reader says that one document cannot be used."""

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic
from specs.yaml.section import Section


class UnreadableDocumentError(Exception):
    """The document cannot be used; those after it can.

    ``resume`` is the index into the section's text where the search for the next
    document begins.
    """

    def __init__(self, diagnostic: Diagnostic, resume: int) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic
        self.resume = resume


def unreadable_at(  # noqa: PLR0913, PLR0917 - a place, a continuation, and what a diagnostic has
    section: Section, line: int, column: int, resume: int, code: Code, message: str, hint: str
) -> UnreadableDocumentError:
    """Return the error for a place in a section; line and column count from 0."""
    position = section.position(line, column)
    return UnreadableDocumentError(Diagnostic(position, code, "error", message, hint), resume)
