"""What was last known of the ledger, kept outside the database that holds it.

A copy of the database that was taken earlier is as consistent as the database itself: only what
lies elsewhere can tell them apart. ``ledger.json`` in the folder of the keys and in the image
store has the ledger's id, the number of a line and its hash, written after that line was
durable. A database that lacks this line was lost, restored, cut off or exchanged. The files also
keep that the fleet is observe-only, because in that case the database is what is in question.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from attrs import evolve, frozen

from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from reconciler.errors import StateError
from reconciler.state.ledger_chain import Head

_NAME = "ledger.json"
_MODE = 0o600
_SHORT = 12
WHAT_TO_DO = "Run `rackwright ledger verify`, then `rackwright ledger accept --reason TEXT`"


@frozen
class ObserveOnly:
    """Why nothing is begun on any machine until a person says otherwise."""

    code: str
    cause: str
    """As a clause."""
    since: str = ""
    """ISO 8601; empty where no server has noticed it yet."""

    def __str__(self) -> str:
        """Return it as one line for people."""
        when = f"{datetime.fromisoformat(self.since):%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        since = f" since {when}" if when else ""
        return f"the fleet is observe-only{since}: {self.code} {self.cause}"

    def error(self) -> StateError:
        """Return the refusal of whatever would begin work."""
        return StateError("RW741", str(self), WHAT_TO_DO)


@frozen
class Witness:
    """Content of one ``ledger.json``."""

    ledger: str
    line: int
    hash: str
    observe_only: ObserveOnly | None = None

    @property
    def head(self) -> Head:
        """Return how far the ledger was known to go."""
        return Head(self.ledger, self.line, self.hash)


class WitnessFile(NamedTuple):
    """One of the files as it was read."""

    path: Path
    witness: Witness | None
    problem: str = ""
    """Why it cannot be read, as a clause."""


def _at_once(write: Callable[[], None]) -> None:
    write()


class Witnesses:
    """The files of one state directory, in the folders that are there.

    The one in the image store is left alone while ``store_is_there`` says no: the folder may be one
    where nothing is mounted. ``write_in_store`` carries a write there out, which may hang.
    Raises UnwritableFileError (RW572) where one cannot be written.
    """

    def __init__(
        self,
        state: Path,
        store_is_there: Callable[[], bool] | None = None,
        write_in_store: Callable[[Callable[[], None]], None] = _at_once,
    ) -> None:
        self._keys, self._store = state / "trust" / _NAME, state / "store" / _NAME
        self._store_is_there = store_is_there or self._store.parent.is_dir
        self._write_in_store = write_in_store

    def read(self) -> tuple[WitnessFile, ...]:
        """Return the files that there are."""
        paths = (self._keys, self._store) if self._store_is_there() else (self._keys,)
        found = (_read(path) for path in paths)
        return tuple(each for each in found if each is not None)

    def write_first(self, head: Head) -> None:
        """Make it durable at one place; whoever acts on the ledger waits for that."""
        self._write(self._keys, Witness(*head))

    def write(self, head: Head) -> None:
        """Make it durable at every place."""
        self._write(self._keys, Witness(*head))
        self._write_stored(Witness(*head))

    def enter(self, reason: ObserveOnly, head: Head) -> None:
        """Keep that the fleet is observe-only; ``head`` is for a file that has nothing better."""
        known = {each.path: each.witness for each in self.read()}
        new = Witness(*head)
        self._write(self._keys, evolve(known.get(self._keys) or new, observe_only=reason))
        self._write_stored(evolve(known.get(self._store) or new, observe_only=reason))

    def _write_stored(self, witness: Witness) -> None:
        if self._store_is_there():
            self._write_in_store(partial(self._write, self._store, witness))

    @staticmethod
    def _write(path: Path, witness: Witness) -> None:
        if path.parent.is_dir():
            write_atomically(path, encode(witness), _MODE)


def recorded(files: Iterable[WitnessFile]) -> ObserveOnly | None:
    """Return why the fleet is observe-only, as it was recorded; None where it is not."""
    witnesses = (each.witness for each in files if each.witness is not None)
    return next((each.observe_only for each in witnesses if each.observe_only), None)


def unreadable(files: Iterable[WitnessFile]) -> ObserveOnly | None:
    """Return that one of the files cannot be read; None where all can."""
    problems = (f"{each.path} {each.problem}" for each in files if each.problem)
    return next((ObserveOnly("RW747", each) for each in problems), None)


def contradiction(known: Head, head: Head, hash_there: str) -> ObserveOnly | None:
    """Return what tells a ledger from the one that was known; None where it continues that.

    ``head`` is how far the ledger goes, ``hash_there`` its hash at the line that was known,
    empty where it has no such line.
    """
    if head.ledger != known.ledger:
        return ObserveOnly(
            "RW743",
            f"the database has ledger {head.ledger[:_SHORT]}, but ledger {known.ledger[:_SHORT]} "
            f"was in use up to line {known.line:,}: it was lost, or this is another one",
        )
    if not hash_there:
        return ObserveOnly(
            "RW742",
            f"the ledger ends at line {head.line:,}, but line {known.line:,} was written: "
            "the database was restored from an earlier copy, or cut off",
        )
    if hash_there != known.hash:
        return ObserveOnly(
            "RW744",
            f"line {known.line:,} of the ledger is not what was written there: the database was "
            "restored from an earlier copy that went on differently, or was changed",
        )
    return None


def _read(path: Path) -> WitnessFile | None:
    try:
        return WitnessFile(path, decode(Witness, path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        return WitnessFile(path, None, f"cannot be read: {error.strerror}")
    except WireError as error:
        return WitnessFile(path, None, f"is damaged: {error}")
