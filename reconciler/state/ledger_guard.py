"""Whether the ledger is still the one that was written, and what follows when it is not.

The server asks before a machine may act on what the ledger says, and once a second. A mismatch
makes the fleet observe-only: nothing begins on any machine, what runs is still recorded. That
outlives the process; only a person's ``rackwright ledger accept`` ends it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from sqlalchemy.exc import DatabaseError

from agent.errors import UnwritableFileError, one_line
from reconciler.errors import StateError
from reconciler.state.database import Database
from reconciler.state.ledger_chain import Head
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.schema import time_text
from reconciler.state.witness import (
    ObserveOnly,
    Witnesses,
    WitnessFile,
    contradiction,
    recorded,
    unreadable,
)

_PASSING = frozenset({"RW705", "RW706"})
"""Another process writes, or the disk is full: that says nothing about the ledger."""

log = structlog.get_logger(__name__)


def present_mismatch(files: Iterable[WitnessFile], lines: LedgerLines) -> ObserveOnly | None:
    """Return how the database contradicts what was witnessed; None where it does not."""
    files = tuple(files)
    for each in files:
        if each.witness is not None:
            found = lines.at(each.witness.line)
            mismatch = contradiction(each.witness.head, found.head, found.hash)
            if mismatch is not None:
                return mismatch
    return unreadable(files)


class LedgerGuard:
    """Watches the ledger of a running server; all calls come from one thread."""

    def __init__(
        self, database: Database, witnesses: Witnesses, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._witnesses = witnesses
        self._clock = clock
        self._lines = LedgerLines(database)
        self.observe_only: ObserveOnly | None = None
        self._is_recorded = False

    def start(self) -> None:
        """Compare the database with what was witnessed; where nothing was, begin to.

        StateError where the database cannot be read, UnwritableFileError (RW572) where what
        is known of it cannot be written down.
        """
        files = self._witnesses.read()
        self._known = self._secured = self._everywhere = self._lines.head()
        self._database_files = self._database.files()
        self.observe_only = recorded(files)
        mismatch = present_mismatch(files, self._lines)
        if self.observe_only is not None:
            self._is_recorded = True
            log.error("observe-only", since=self.observe_only.since, cause=self.observe_only.cause)
        elif mismatch is not None:
            self.enter(mismatch.code, mismatch.cause)
        else:
            self._witnesses.write(self._known)

    def may_act(self) -> bool:
        """Return whether a machine may act on what the ledger says now.

        True once that is known outside the database, durably: one small file is written where
        lines were added since the last time. StateError where the database is busy, and RW747
        where that file cannot be written.
        """
        head = None if self.observe_only else self._compare()
        if head is None:
            return False
        if head != self._secured:
            try:
                self._witnesses.write_first(head)
            except UnwritableFileError as error:
                raise StateError("RW747", error.cause, error.action) from error
            self._secured = head
        return True

    def look(self) -> bool:
        """Compare the database with what is known of it, and write down how far it goes.

        True when a person has accepted the ledger since: everything is to be looked at anew.
        Raises as ``start``.
        """
        if self.observe_only is not None:
            return self._is_accepted(self.observe_only)
        head = self._compare()
        if head is not None and head != self._everywhere:
            self._witnesses.write(head)
            self._secured = self._everywhere = head
        return False

    def enter(self, code: str, cause: str) -> None:
        """Make the fleet observe-only, durably; the first reason stays."""
        if self.observe_only is None:
            self.observe_only = ObserveOnly(code, cause, time_text(self._clock()))
            log.error("observe-only", code=code, cause=cause)
            self._record(self.observe_only)

    def _record(self, reason: ObserveOnly) -> None:
        try:
            self._witnesses.enter(reason, self._known)
        except UnwritableFileError as error:  # tried again at every look
            log.warning("observe-only not written down", code=error.code, cause=error.cause)
        else:
            self._is_recorded = True

    def _is_accepted(self, reason: ObserveOnly) -> bool:
        if not self._is_recorded:
            self._record(reason)
            return False
        files = self._witnesses.read()
        if not files:
            self._record(reason)
            return False
        if recorded(files) is not None or unreadable(files) is not None:
            return False
        self._database.close()  # what a person accepted is what lies there now
        self._is_recorded = False
        self.start()
        return self.observe_only is None

    def _compare(self) -> Head | None:
        """Return how far the ledger goes; None where it is not the known one any more."""
        mismatch = self._exchanged()
        if mismatch is None:
            try:
                found = self._lines.at(self._known.line)
                mismatch = contradiction(self._known, found.head, found.hash)
            except StateError as error:
                if error.code in _PASSING:
                    raise
                mismatch = ObserveOnly("RW745", error.cause)
            except DatabaseError as error:
                mismatch = ObserveOnly("RW745", f"the ledger cannot be read: {one_line(error)}")
        if mismatch is not None:
            self.enter(mismatch.code, mismatch.cause)
            return None
        self._known = found.head
        return found.head

    def _exchanged(self) -> ObserveOnly | None:
        """Return that other files lie where the database was, which this process still has open."""
        before, now = self._database_files, self._database.files()
        if now.database is None:
            return ObserveOnly("RW745", "the database was deleted while the server ran")
        if now != before:
            return ObserveOnly("RW745", "the database was exchanged while the server ran")
        return None


def observe_only_of(
    witnesses: Witnesses, lines: Callable[[], LedgerLines | None]
) -> ObserveOnly | None:
    """Return why the fleet is observe-only, for a process that is no server; None where it is not.

    ``lines`` opens the ledger, None where there is no database; it is asked only where
    something was witnessed.
    """
    files = witnesses.read()
    found = recorded(files)
    if found is not None or not files:
        return found
    opened = lines()
    if opened is not None:
        return present_mismatch(files, opened)
    known = max((each.witness.line for each in files if each.witness is not None), default=0)
    cause = f"there is no database, but there was one with {known:,} ledger lines"
    return unreadable(files) or ObserveOnly("RW742", cause)
