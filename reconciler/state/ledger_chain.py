"""The chain of hashes through the ledger. Pure.

Every line has the SHA-256 of the hash of the line before it and of its own fields, so that the
newest hash stands for all of history. What the first line follows is the ledger's id: no two
ledgers have a line in common. As Git's commits and the logs of Certificate Transparency do it.
"""

import hashlib
from collections.abc import Iterable
from json import dumps
from typing import NamedTuple

GIVEN_BY_PEOPLE = "accepted"
"""The state of the one kind of line that is about no operation: a person accepted the ledger."""


class LedgerLine(NamedTuple):
    """One line as it is stored."""

    sequence: int
    op_id: str | None
    """None where a person accepted the ledger as it was."""
    state: str
    attempt: int
    at: str
    """ISO 8601, UTC."""
    actor: str
    reason: str


class Head(NamedTuple):
    """How far a ledger goes."""

    ledger: str
    """The ledger's id."""
    line: int
    """The number of its newest line; 0 where there is none."""
    hash: str
    """Of that line; the id where there is none."""


def line_hash(before: str, line: LedgerLine) -> str:
    """Return the hash of a line that follows one with the hash ``before``, in hex."""
    return hashlib.sha256(dumps([before, *line], separators=(",", ":")).encode()).hexdigest()


def first_broken(before: str, lines: Iterable[tuple[LedgerLine, str]]) -> LedgerLine | None:
    """Return the first line whose stored hash does not follow from the line before it.

    ``before`` is the hash that the first of them follows. One line at a time is kept.
    """
    number = 0
    for line, stored in lines:
        if line.sequence <= number or line_hash(before, line) != stored:
            return line
        number, before = line.sequence, stored
    return None
