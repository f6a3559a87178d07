"""What was compiled, from one command to the next: one SQLite file.

A cache only. Whatever is missing or of another version is made again; a damaged file is
replaced, which is said once; where nothing can be read or written, nothing is kept. It is
read as data that this user wrote: a file that others may write is not used.
"""

import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from hashlib import blake2b
from json import loads
from pathlib import Path
from typing import NamedTuple, TypeVar
from zlib import crc32

from reconciler.compiled.codec import codec_of, dumps
from reconciler.compiled.rows import OTHERS, WARNINGS, FileFacts, FileRows
from reconciler.compiled.version import program_version
from specs.diagnostics.diagnostic import Diagnostic

_Answer = TypeVar("_Answer")
_SCHEMA = """
CREATE TABLE fleet (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
);
CREATE TABLE file (
    context TEXT NOT NULL,
    path TEXT NOT NULL,
    blob TEXT NOT NULL,
    version TEXT NOT NULL,
    others TEXT NOT NULL,
    keys BLOB NOT NULL,
    rest TEXT NOT NULL,
    seal BLOB NOT NULL,
    machines BLOB NOT NULL,
    PRIMARY KEY (context, path, blob)
);
"""
_FORM = crc32(_SCHEMA.encode()) >> 1
"""Of the tables, as SQLite keeps it: 31 bits. Those of another form are replaced."""
_KEPT_FLEETS = 50
_KEPT_FILES = 4
"""Times as many rows of files as the fleet has that is kept now. Beyond, all others go."""
_SEAL = 16
_NO_OTHERS = "[]"
_LOCK_TIMEOUT = 5.0
"""Seconds that one command waits for another that writes."""
_UNUSABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What SQLite says where the file is good, but cannot be used now (sqlite.org/rescode.html)."""

File = tuple[str, str]
"""Path and blob."""


class KeptFleet(NamedTuple):
    """A fleet without its machines."""

    context: str
    """What its machines were compiled against, as a digest."""
    fleet: str
    """JSON, as ``codec`` gives it."""
    warnings: str
    """Likewise."""
    machine_count: int
    files: Mapping[str, str]
    """The blobs of those that hold documents, by path."""


_FLEET = codec_of(KeptFleet)


class _DamagedError(Exception):
    """Something that was written cannot be read."""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class FleetCache:
    """Compiled fleets and files. No method raises because of what the file is.

    ``version`` is part of every key: what other code made is not used.
    """

    def __init__(self, path: Path, version: str, say: Callable[[str], None] = _say) -> None:
        self._path = path
        self._version = version
        self._say = say
        self._is_given_up = False

    @classmethod
    def of_state(cls, state: Path) -> "FleetCache":
        """Return the cache in a state directory."""
        return cls(state / "cache" / "fleet.db", program_version())

    def fleet(self, key: str) -> KeptFleet | None:
        """Return the fleet that was kept for files with this key."""

        def read(connection: sqlite3.Connection) -> KeptFleet | None:
            query = "SELECT body FROM fleet WHERE key = ?"
            row = connection.execute(query, [self._key(key)]).fetchone()
            return _FLEET.value(_unsealed(row[0], self._key(key))) if row else None

        return self._used(read, None)

    def facts(self) -> dict[str, dict[File, FileFacts]]:
        """Return what was kept of files besides their machines, by context."""

        def read(connection: sqlite3.Connection) -> dict[str, dict[File, FileFacts]]:
            query = (
                "SELECT context, path, blob, others, keys, rest, seal FROM file WHERE version = ?"
            )
            found: dict[str, dict[File, FileFacts]] = {}
            read_rest = cache(_decoded_rest)  # most files say the same
            for *names, others, keys, rest, seal in connection.execute(query, [self._version]):
                context, path, blob = names
                if seal != _digest(keys, (*names, others, rest)):
                    raise _DamagedError(f"an entry of {path} is not what was written")
                found.setdefault(context, {})[path, blob] = FileFacts(
                    () if others == _NO_OTHERS else OTHERS.value(others), keys, *read_rest(rest)
                )
            return found

        return self._used(read, {})

    def machines(self, context: str) -> dict[File, str]:
        """Return the machines of files that were compiled in a context."""

        def read(connection: sqlite3.Connection) -> dict[File, str]:
            query = "SELECT path, blob, machines FROM file WHERE context = ? AND version = ?"
            return {
                (path, blob): _unsealed(body, context, path, blob)
                for path, blob, body in connection.execute(query, [context, self._version])
            }

        return self._used(read, {})

    def keep(self, key: str, fleet: KeptFleet, rows: Mapping[File, FileRows]) -> None:
        """Keep a fleet, and the rows of those of its files that are new."""
        encode_rest = cache(_encoded_rest)  # most files say the same

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(
                    "INSERT OR REPLACE INTO fleet (key, body) VALUES (?, ?)",
                    [self._key(key), _sealed(_FLEET.text(fleet), self._key(key))],
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (
                            fleet.context,
                            path,
                            blob,
                            self._version,
                            *_facts_row(each.facts, encode_rest, fleet.context, path, blob),
                            _sealed(each.machines, fleet.context, path, blob),
                        )
                        for (path, blob), each in rows.items()
                    ),
                )
                self._forget(connection, key, fleet)

        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._used(write, None)

    def _forget(self, connection: sqlite3.Connection, key: str, fleet: KeptFleet) -> None:
        """Forget old fleets; where rows have become too many, all that this fleet does not have."""
        connection.execute(
            "DELETE FROM fleet WHERE number <= (SELECT max(number) FROM fleet) - ?", [_KEPT_FLEETS]
        )
        (count,) = connection.execute("SELECT count(*) FROM file").fetchone()
        if count <= _KEPT_FILES * len(fleet.files) + _KEPT_FLEETS:
            return
        connection.execute("DELETE FROM fleet WHERE key != ?", [self._key(key)])
        connection.execute("DELETE FROM file WHERE context != ?", [fleet.context])
        rows = connection.execute("SELECT path, blob FROM file").fetchall()
        gone = set(rows).difference(fleet.files.items())
        connection.executemany("DELETE FROM file WHERE path = ? AND blob = ?", gone)

    def _replace(self, cause: object) -> None:
        """Replace the file by an empty one, and say why."""
        self._say(f"the cache {self._path} is damaged ({cause}); it is made again")
        try:
            for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
                path.unlink(missing_ok=True)
        except OSError:
            self._is_given_up = True

    def _key(self, key: str) -> str:
        return f"{self._version} {key}"

    def _used(self, use: Callable[[sqlite3.Connection], _Answer], otherwise: _Answer) -> _Answer:
        """Return what ``use`` does with the file; ``otherwise`` where that cannot be."""
        if self._is_given_up:
            return otherwise
        try:
            with self._connection() as connection:
                return use(connection)
        except OSError:
            return otherwise
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNUSABLE:
                self._replace(error)
        except (_DamagedError, ValueError, TypeError, LookupError) as error:
            self._replace(error)
        return otherwise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        for each in (self._path.parent, self._path):
            _refuse_others(each)
        with closing(
            sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA synchronous=OFF")  # a lost cache is made again
            (form,) = connection.execute("PRAGMA user_version").fetchone()
            if form != _FORM:
                _make_tables(connection)
            yield connection


def _make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in the place of those of another form."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone() == (_FORM,):
            return  # by another process meanwhile
        for (name,) in connection.execute(query).fetchall():
            connection.execute(f"DROP TABLE {name}")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_FORM}")


def _facts_row(
    facts: FileFacts, encode_rest: Callable[..., str], *names: str
) -> tuple[str, bytes, str, bytes]:
    """Return the columns from ``others`` to ``seal``."""
    others = OTHERS.text(facts.others) if facts.others else _NO_OTHERS
    rest = encode_rest(facts.selected, facts.machine_count, facts.warnings)
    return others, facts.keys, rest, _digest(facts.keys, (*names, others, rest))


def _encoded_rest(
    selected: tuple[int, ...], machine_count: int, warnings: tuple[Diagnostic, ...]
) -> str:
    return dumps([selected, machine_count, WARNINGS.text(warnings)])


def _decoded_rest(text: str) -> tuple[tuple[int, ...], int, tuple[Diagnostic, ...]]:
    selected, count, warnings = loads(text)
    return tuple(selected), count, WARNINGS.value(warnings)


def _sealed(text: str, *names: str) -> bytes:
    """Return a text with a digest over it and over what it is kept under."""
    data = text.encode(errors="surrogatepass")
    return _digest(data, names) + data


def _unsealed(body: bytes, *names: str) -> str:
    """Return the text; _DamagedError where it is not what was sealed under these names."""
    seal, data = body[:_SEAL], body[_SEAL:]
    if _digest(data, names) != seal:
        raise _DamagedError(f"an entry of {names[-1]} is not what was written")
    return data.decode(errors="surrogatepass")


def _digest(data: bytes, names: tuple[str, ...]) -> bytes:
    return blake2b("\0".join([*names, ""]).encode() + data, digest_size=_SEAL).digest()


def _refuse_others(path: Path) -> None:
    state = path.stat()
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} may be written by others")
