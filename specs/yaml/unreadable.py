"""What makes a document unreadable, before it has a position of its own."""

from typing import NamedTuple

from specs.diagnostics.codes import Code


class Flaw(NamedTuple):
    """Something wrong at a place in a text; line and column count from 0.

    ``resume`` is the index into the text where the search for the next document
    begins.
    """

    line: int
    column: int
    resume: int
    code: Code
    message: str
    hint: str


class UnreadableDocumentError(Exception):
    """The document cannot be used; those after it can."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw
