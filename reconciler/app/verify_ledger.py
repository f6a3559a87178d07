"""Walking the whole ledger and asking its witnesses: ``rackwright ledger verify``."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import StateError
from reconciler.state.ledger_chain import Head, LedgerLine, first_broken
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.witness import ObserveOnly, Witnesses, contradiction

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.app.project import Project

_PROGRESS = 20_000
"""Lines between two words about how far it is."""


class WitnessVerdict(NamedTuple):
    """What one witness says of the ledger."""

    path: "Path"
    line: int | None
    """None where the file cannot be read."""
    problem: str
    """How the ledger contradicts it, as a clause; empty where it does not."""


class LedgerVerdict(NamedTuple):
    """What is to be said of a ledger."""

    head: Head
    broken: LedgerLine | None
    """The first line that does not follow from the line before it."""
    witnesses: tuple[WitnessVerdict, ...]
    observe_only: ObserveOnly | None

    @property
    def is_whole(self) -> bool:
        """Return whether nothing contradicts it."""
        return self.broken is None and not any(each.problem for each in self.witnesses)


def verify_ledger(project: "Project", tell: Callable[[int], None]) -> LedgerVerdict:
    """Return what is to be said of the ledger; ``tell`` hears how many lines were walked.

    The witnesses are read first: what they know is in a ledger that was only added to since.
    StateError RW749 where there is no database.
    """
    if not project.has_state:
        raise StateError(
            "RW749",
            f"there is no database {project.database_path}",
            "Restore it from a backup, or name another directory with --state",
        )
    observes = project.observe_only
    files = Witnesses(project.state).read()
    lines = LedgerLines(project.database)
    witnesses = []
    for each in files:
        if each.witness is None:
            witnesses.append(WitnessVerdict(each.path, None, each.problem))
            continue
        found = lines.at(each.witness.line)
        mismatch = contradiction(each.witness.head, found.head, found.hash)
        problem = mismatch.cause if mismatch else ""
        witnesses.append(WitnessVerdict(each.path, each.witness.line, problem))
    head = lines.head()
    broken = first_broken(head.ledger, _told(lines.stored(), tell))
    return LedgerVerdict(head, broken, tuple(witnesses), observes)


def _told(
    lines: Iterator[tuple[LedgerLine, str]], tell: Callable[[int], None]
) -> Iterator[tuple[LedgerLine, str]]:
    for number, line in enumerate(lines):
        if number % _PROGRESS == 0:
            tell(number)
        yield line
