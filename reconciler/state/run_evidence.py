"""Evidence of runs: the texts that machines sent of their work.

The index is in the database, the content in files beside it, one for each text:
``runs/OPERATION/ATTEMPT/NAME.zst``.

The row comes before its file and goes after it, so that no file is ever without a row.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, func, literal, select, tuple_
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.errors import UnwritableFileError
from agent.imaging.packed_text import unpack
from agent.whole_file import write_atomically
from reconciler.errors import StateError
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.operation_states import ENDED, OperationState

_TABLE = schema.run_evidence
_ORDER = (_TABLE.c.at, _TABLE.c.op_id, _TABLE.c.attempt, _TABLE.c.name)
_MODE = 0o600
_FOLDER_MODE = 0o700
GRACE = timedelta(hours=1)
"""After the end of an operation its machine may still send, and nothing is pruned."""


class EvidenceFile(NamedTuple):
    """One text of one attempt."""

    op_id: str
    attempt: int
    name: str
    size: int
    """Bytes as it is kept, compressed."""
    digest: str
    """SHA-256 of these bytes."""
    at: datetime

    @property
    def path(self) -> Path:
        """Return where it is, relative to the folder of all evidence."""
        return Path(self.op_id, str(self.attempt), f"{self.name}.zst")


class KeptEvidence(NamedTuple):
    """A text, and since when its operation has been where it stands."""

    file: EvidenceFile
    state: OperationState
    since: datetime


class KeepLimits(NamedTuple):
    """For how long evidence is kept, and how much of it."""

    keep: timedelta
    most_bytes: int


class RunEvidence:
    """The evidence on the state database and in ``folder``."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def record(self, op_id: str, attempt: int, name: str, body: bytes, at: datetime) -> None:
        """Note a text whose file is written next; a text of before is replaced."""
        key = {"op_id": op_id, "attempt": attempt, "name": name}
        values = {"size": len(body), "digest": sha256(body).hexdigest(), "at": at}
        statement = upsert(_TABLE).values(**key, **values)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=list(key), set_=values)
            )

    def write(self, op_id: str, attempt: int, name: str, body: bytes) -> None:
        """Write a text's file. Raises UnwritableFileError RW572; the row then says too much."""
        path = self._folder / op_id / str(attempt) / f"{name}.zst"
        try:
            for folder in (self._folder, path.parent.parent, path.parent):
                folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise UnwritableFileError(path, error.strerror or str(error), error.errno) from error
        write_atomically(path, body, _MODE)

    def of_run(self, run_id: str) -> dict[str, tuple[EvidenceFile, ...]]:
        """Return the evidence of a run, by operation, and of each by attempt and name."""
        mine = schema.run_operation
        query = (
            select(_TABLE)
            .join(mine, mine.c.op_id == _TABLE.c.op_id)
            .where(mine.c.run_id == run_id)
            .order_by(_TABLE.c.op_id, _TABLE.c.attempt, _TABLE.c.name)
        )
        found: dict[str, tuple[EvidenceFile, ...]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query):
                file = EvidenceFile(*row)
                found[file.op_id] = (*found.get(file.op_id, ()), file)
        return found

    def text(self, file: EvidenceFile) -> str:
        """Return a text. StateError RW960 where it is not there any more, or damaged."""
        path = self._folder / file.path
        try:
            body = path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        if sha256(body).hexdigest() != file.digest:
            raise _unreadable(path, "its content is another one than was received")
        try:
            return unpack(body).decode("utf-8", "replace")
        except ValueError as error:
            raise _unreadable(path, str(error)) from error

    # --- pruning -----------------------------------------------------------------

    def total(self) -> int:
        """Return how many bytes all of it takes."""
        with self._database.reading() as connection:
            return connection.execute(select(func.sum(_TABLE.c.size))).scalar() or 0

    def oldest(self, after: EvidenceFile | None, most: int) -> tuple[KeptEvidence, ...]:
        """Return the oldest texts, or the oldest after this one."""
        ledger = schema.ledger
        line = ledger.alias()
        newest = (
            select(func.max(line.c.sequence))
            .where(line.c.op_id == _TABLE.c.op_id)
            .scalar_subquery()
        )
        query = (
            select(*_TABLE.c, ledger.c.state, ledger.c.at.label("since"))
            .select_from(_TABLE)
            .join(ledger, ledger.c.sequence == newest)
            .order_by(*_ORDER)
            .limit(most)
        )
        if after is not None:
            place = (after.at, after.op_id, after.attempt, after.name)
            bound = (
                literal(value, column.type) for value, column in zip(place, _ORDER, strict=True)
            )
            query = query.where(tuple_(*_ORDER) > tuple_(*bound))
        with self._database.reading() as connection:
            return tuple(
                KeptEvidence(EvidenceFile(*row[:-2]), OperationState(row.state), row.since)
                for row in connection.execute(query)
            )

    def remove(self, files: Iterable[EvidenceFile]) -> None:
        """Remove the files; ``forget`` their rows next. Raises OSError."""
        for file in files:
            path = self._folder / file.path
            path.unlink(missing_ok=True)
            for folder in (path.parent, path.parent.parent):
                try:
                    folder.rmdir()
                except OSError:
                    break  # others are in it, or it is gone already

    def forget(self, files: Collection[EvidenceFile]) -> None:
        """Remove the rows, except of those that were sent anew meanwhile."""
        if not files:
            return
        chosen = [(each.at, each.op_id, each.attempt, each.name) for each in files]
        with self._database.writing() as connection:
            connection.execute(delete(_TABLE).where(tuple_(*_ORDER).in_(chosen)))


def unneeded(
    kept: Iterable[KeptEvidence], total: int, limits: KeepLimits, now: datetime
) -> tuple[EvidenceFile, ...]:
    """Return which of the oldest texts, in their order, go; ``total`` is what all of them take.

    Those of operations that have not ended, or only just, stay in any case.
    """
    gone: list[EvidenceFile] = []
    for each in kept:
        too_old = each.file.at < now - limits.keep
        if not too_old and total <= limits.most_bytes:
            break
        if each.state in ENDED and each.since < now - GRACE:
            gone.append(each.file)
            total -= each.file.size
    return tuple(gone)


def _unreadable(path: Path, why: str) -> StateError:
    return StateError(
        "RW960",
        f"{path} cannot be shown: {why}",
        "The others of the run are not concerned; see `rackwright runs show`",
    )
