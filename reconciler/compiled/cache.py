"""Compiled fleets from one command to the next.

A cache only: whatever is missing, damaged or of another version is made again. It is
read as data that this user wrote: a file that others may write is not used.
"""

import os
import pickle
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from reconciler.compiled.body_digest import body_digest
from reconciler.compiled.cache_error import CacheError
from reconciler.compiled.pickled import pickled_context, unpickled, unpickled_context

if TYPE_CHECKING:
    from reconciler.compiled.index import FleetIndex, Groundwork
    from specs.diagnostics.diagnostic import Diagnostic
    from specs.fleet import CompiledMachine

KEPT = 8
"""Revisions: a few branches and their bases. Up to twice as many, since forgetting takes longer
than a command with one changed file should."""

_FORM = 5
"""Of the tables: those of another form are emptied."""
_SCHEMA = (
    """
    CREATE TABLE fleet (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        fleet BLOB NOT NULL,
        warnings BLOB NOT NULL,
        members TEXT NOT NULL,
        context TEXT NOT NULL,
        claims TEXT NOT NULL,
        prepared TEXT NOT NULL,
        counts TEXT NOT NULL
    )
    """,
    "CREATE TABLE piece (digest TEXT PRIMARY KEY, body BLOB NOT NULL)",
    """
    CREATE TABLE base (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        base TEXT NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE planned (
        base TEXT NOT NULL,
        digest TEXT NOT NULL,
        made TEXT NOT NULL,
        until TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (base, digest)
    ) WITHOUT ROWID
    """,
)
"""A piece is what several revisions may share, named by its digest: the body of a shard, what
machines are compiled with, what they claim, and what their documents are checked with."""
_PUT = "INSERT OR REPLACE INTO piece VALUES (?, ?)"
_PUT_NEW = "INSERT OR IGNORE INTO piece VALUES (?, ?)"
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
"""
_FORGET_FLEETS = """
DELETE FROM fleet WHERE sequence NOT IN (SELECT sequence FROM fleet ORDER BY sequence DESC LIMIT ?)
"""
_FORGET_BASES = """
DELETE FROM base WHERE sequence NOT IN (SELECT sequence FROM base ORDER BY sequence DESC LIMIT ?)
"""
_Write = Callable[[str, Sequence[tuple[object, ...]]], object]


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard in the cache, read when its machines are asked for."""

    group: str
    count: int
    digest: str
    cache: "FleetCache"

    @property
    def body(self) -> bytes:
        """Return the machines as they are kept; CacheError when they are damaged or gone."""
        return self.cache.body(self.digest)

    def machines(self) -> "tuple[CompiledMachine, ...]":
        """Return the machines."""
        from reconciler.compiled.shard import machines_of  # noqa: PLC0415 - slow to load

        return machines_of(self.group, self.body)


class FleetCache:
    """Compiled fleets by the tree that they were compiled from.

    ``version`` is part of every key: what another version made is not used.
    """

    def __init__(self, path: Path, version: str) -> None:
        """Open or make the cache at ``path``; CacheError where that cannot be."""
        self._version = version
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            for each in (path.parent, path):
                _refuse_others(each)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None)
            # Also where a command ends with this in a cycle: else the log of writes would stay.
            finalize(self, _close, self._connection)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")  # a lost cache is made again
            self._bring_to_form()
        except (OSError, sqlite3.Error) as error:
            raise CacheError(f"{path}: {error}") from error

    def index(self, tree: str) -> "FleetIndex | None":
        """Return the fleet that was kept for a tree."""
        query = "SELECT fleet, warnings, members FROM fleet WHERE key = ?"
        rows = self._read(query, self._key(tree))
        if not rows:
            return None
        from reconciler.compiled.index import FleetIndex  # noqa: PLC0415 - not for warnings alone

        [(fleet, warnings, members)] = rows
        surroundings, digest, ownership = unpickled(fleet)
        shards = {
            name: StoredShard(name, count, digest, self) for name, count, digest in loads(members)
        }
        return FleetIndex(surroundings, shards, unpickled(warnings), digest, ownership)

    def warnings(self, tree: str) -> "tuple[Diagnostic, ...] | None":
        """Return the warnings of the fleet that was kept for a tree; None where none was."""
        rows = self._read("SELECT warnings FROM fleet WHERE key = ?", self._key(tree))
        return unpickled(rows[0][0]) if rows else None

    def groundwork(self, tree: str) -> "Groundwork":
        """Return what a changed file of a kept tree can be compiled with."""
        from reconciler.compiled.claims import Claims  # noqa: PLC0415 - for this alone
        from reconciler.compiled.index import Groundwork  # noqa: PLC0415 - likewise

        query = "SELECT context, claims, prepared, counts FROM fleet WHERE key = ?"
        rows = self._read(query, self._key(tree))
        if not rows:
            raise CacheError(f"tree {tree} is gone")
        [(context, claims, prepared, counts)] = rows
        body = self.body(context)
        known = Claims.from_bytes(self.body(claims))
        return Groundwork(
            context=unpickled_context(body),
            claims=known,
            counts=tuple(loads(counts)),
            kept=body,
            prepared=self.body(prepared),
        )

    def trees(self) -> tuple[str, ...]:
        """Return the trees that are kept, the newest first."""
        rows = self._read("SELECT key FROM fleet ORDER BY sequence DESC")
        keys = (key.rpartition(" ") for (key,) in rows)
        return tuple(tree for version, _, tree in keys if version == self._version)

    def body(self, digest: str) -> bytes:
        """Return a piece, such as a shard's body; CacheError when it is damaged or gone."""
        rows = self._read("SELECT body FROM piece WHERE digest = ?", digest)
        if not rows or body_digest(rows[0][0]) != digest:
            raise CacheError(f"piece {digest} is damaged or gone")
        return bytes(rows[0][0])

    def keep(self, tree: str, index: "FleetIndex", groundwork: "Groundwork") -> None:
        """Keep a fleet, and now and then forget those that were not kept for longest."""
        key = self._key(tree)
        shards = index.shards.values()
        members = dumps([(shard.group, shard.count, shard.digest) for shard in shards])
        fleet = pickle.dumps((index.surroundings, index.digest, index.ownership))
        warnings = pickle.dumps(index.warnings)
        pieces = [
            groundwork.kept or pickled_context(groundwork.context),
            groundwork.claims.to_bytes(),
            groundwork.prepared,
        ]
        digests = tuple(map(body_digest, pieces))
        rows = [(each.digest, each.body) for each in shards if not isinstance(each, StoredShard)]
        rows += zip(digests, pieces, strict=True)
        # Where all was compiled, a piece that was damaged is replaced.
        put = _PUT_NEW if groundwork.kept else _PUT
        with self._writing() as write:
            write("DELETE FROM fleet WHERE key = ?", [(key,)])
            write(
                "INSERT INTO fleet"
                " (key, fleet, warnings, members, context, claims, prepared, counts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(key, fleet, warnings, members, *digests, dumps(groundwork.counts))],
            )
            write(put, rows)
            [(count,)] = self._read("SELECT count(*) FROM fleet")
            if count >= 2 * KEPT:
                self._forget(write)

    def _forget(self, write: _Write) -> None:
        """Forget the oldest fleets, and the pieces that no other one has."""
        write(_FORGET_FLEETS, [(KEPT,)])
        used = set()
        for members, *others in self._read("SELECT members, context, claims, prepared FROM fleet"):
            used |= {digest for _, _, digest in loads(members)} | set(others)
        every = {digest for (digest,) in self._read("SELECT digest FROM piece")}
        write("DELETE FROM piece WHERE digest = ?", [(digest,) for digest in every - used])

    def planned(self, base: str) -> list[tuple[str, str, str, str]]:
        """Return what was remembered on a base: shard, made when, good until when, folds."""
        return self._read(
            "SELECT digest, made, until, body FROM planned WHERE base = ?", self._key(base)
        )

    def remember(self, base: str, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Remember plans of shards on a base, and forget the bases that are oldest."""
        key = self._key(base)
        with suppress(CacheError), self._writing() as write:
            write("DELETE FROM base WHERE base = ?", [(key,)])
            write("INSERT INTO base (base) VALUES (?)", [(key,)])
            write(
                "INSERT OR REPLACE INTO planned VALUES (?, ?, ?, ?, ?)",
                [(key, *row) for row in rows],
            )
            write(_FORGET_BASES, [(KEPT,)])
            write("DELETE FROM planned WHERE base NOT IN (SELECT base FROM base)", [()])

    def _bring_to_form(self) -> None:
        """Make the tables, in the place of those of another form."""
        execute = self._connection.execute
        if execute("PRAGMA user_version").fetchone() == (_FORM,):
            return
        with self._connection:
            execute("BEGIN IMMEDIATE")
            if execute("PRAGMA user_version").fetchone() == (_FORM,):
                return  # by another process meanwhile
            for (name,) in execute(_TABLES).fetchall():
                execute(f"DROP TABLE {name}")
            for statement in _SCHEMA:
                execute(statement)
            execute(f"PRAGMA user_version = {_FORM}")

    def _key(self, tree: str) -> str:
        return f"{self._version} {tree}"

    def _read(self, query: str, *values: str) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise CacheError(str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[_Write]:
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection.executemany
        except sqlite3.Error as error:
            raise CacheError(str(error)) from error


def _close(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # one of another thread closes when it is let go
        connection.close()


def _refuse_others(path: Path) -> None:
    state = path.stat()
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{path} may be written by others")
