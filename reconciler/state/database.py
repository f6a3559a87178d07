"""Opening the state database and bringing it to the current schema."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from agent.failpoint import failpoint
from reconciler.errors import StateError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry


_NEWEST = "0025"
"""The newest migration; a database that has it needs no look at Alembic, which is slow to load."""
_RESTORE = "Restore it from a backup, or name another directory with --state"
_ACTIONS = (
    (
        "disk I/O error",
        "See whether the disk is full, then look at its log; restore the database from a backup",
    ),
    ("disk is full", "Make room there, or name another directory with --state"),
    ("unable to open", "Give this user access there, or name another directory with --state"),
    ("readonly", "Give this user access there, or name another directory with --state"),
    ("database is locked", "See which process holds it, and try again"),
)
"""What helps, by what SQLite says (its result codes IOERR, FULL, CANTOPEN, READONLY and BUSY)."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class _UnknownSchemaError(Exception):
    """The database has a schema that this version does not know."""


class Database:
    """The state database: short transactions, one writer at a time."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._readers = engine.execution_options(reading=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a consistent snapshot that blocks nobody.

        StateError as ``writing``.
        """
        with _refusals(self._path), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that holds the write lock from its first statement.

        StateError: RW705 when another process held the lock for too long, RW706 when
        the disk is full or cannot be written, RW701 when the file is damaged. Nothing is
        changed then.
        """
        with _refusals(self._path):
            with self._engine.begin() as connection:
                yield connection
                failpoint("transaction.before")
            failpoint("transaction.after")

    def files(self) -> "DatabaseFiles":
        """Return which files are at the database's path now."""
        return DatabaseFiles(_identity(self._path), _identity(Path(f"{self._path}-wal")))

    def close(self) -> None:
        """Give back all connections; whoever asks later gets new ones, to what is there then."""
        self._engine.dispose()


class DatabaseFiles(NamedTuple):
    """The database and its write-ahead log by device and inode; None where there is none."""

    database: tuple[int, int] | None
    log: tuple[int, int] | None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a lock, of the disk or of damage into errors with a cause."""
    try:
        yield
    except OperationalError as error:
        said = str(error.orig)
        if "database is locked" in said:
            raise StateError(
                "RW705",
                f"another process holds the state database {path}",
                "Wait until it is done, or see which process it is",
            ) from error
        action = next((text for sign, text in _ACTIONS if sign in said), None)
        if action is None:
            raise
        raise StateError(
            "RW706", f"the state database {path} cannot be written: {said}", action
        ) from error
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise
        raise StateError(
            "RW701", f"the state database {path} cannot be used: {error.orig}", _RESTORE
        ) from error


PATIENT = 30.0
"""Seconds that a command waits for another process that writes."""
BRIEF = 0.05
"""Seconds that a server waits: machines wait for its answers, and it tries again by itself."""


def random_ledger_id() -> str:
    """Return an id that no other ledger has."""
    return token_hex(16)


def open_database(
    path: Path,
    wait: float = PATIENT,
    new_ledger_id: Callable[[], str] = random_ledger_id,
    *,
    or_read: bool = False,
) -> Database:
    """Return the SQLite database at ``path``, created and migrated as needed.

    ``wait`` is for how many seconds a writer waits for another one. ``new_ledger_id`` gives
    the id of a ledger that has none yet. With ``or_read``, one that this user may not write to, or
    that lies on a read-only file system, can be read; writing raises RW706.

    Raises StateError (RW701) when the file is no database, cannot be written, or was
    written by a newer version.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if or_read and path.exists() and not _is_writable(path):
        engine = create_engine(_address_for_reading(path), connect_args={"timeout": wait})
        event.listen(engine, "connect", _configure_reading)
    else:
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": wait})
        event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        if _revision(engine) != _NEWEST:
            _migrate(engine, new_ledger_id)
    except DatabaseError as error:
        engine.dispose()
        action = next((text for sign, text in _ACTIONS if sign in str(error.orig)), _RESTORE)
        raise StateError(
            "RW701", f"the state database {path} cannot be used: {error.orig}", action
        ) from error
    except _UnknownSchemaError as error:
        engine.dispose()
        raise StateError(
            "RW701",
            f"the state database {path} cannot be used: {error}",
            "Use the version that wrote it, or name another directory with --state",
        ) from error
    return Database(engine, path)


def _configure(connection: "DBAPIConnection", record: "ConnectionPoolEntry") -> None:
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: an `armed` that was committed must survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _is_writable(path: Path) -> bool:
    """Return whether the database can be written: its log is made beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _address_for_reading(path: Path) -> str:
    """Return what opens the database without writing.

    Without a write-ahead log nobody has it open, so that it needs no lock: SQLite could not make
    the file in which locks are ("Read-Only Databases" in sqlite.org/wal.html).
    """
    unused = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    return f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro{unused}&uri=true"


def _configure_reading(connection: "DBAPIConnection", record: "ConnectionPoolEntry") -> None:
    del record
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # A writer that first reads would otherwise fail with SQLITE_BUSY when
    # another writer came between, whatever the timeout.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    with engine.execution_options(reading=True).connect() as connection:
        known = connection.execute(
            text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        ).first()
        if known is None:
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine, new_ledger_id: Callable[[], str]) -> None:
    from alembic import command  # noqa: PLC0415 - slow to load and seldom needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "reconciler:state/migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        config.attributes["new_ledger_id"] = new_ledger_id
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise _UnknownSchemaError("a newer version of Rackwright wrote it") from error
