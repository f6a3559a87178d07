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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.fleet.cache_error import CacheError
from reconciler.fleet.claims import Claims
from reconciler.fleet.index import FleetIndex, Groundwork
from reconciler.fleet.pickled import PickledGroups, unpickled
from reconciler.fleet.shard import FreshShard, machines_of, shard_digest

if TYPE_CHECKING:
    from specs.compiled import CompiledMachine

KEPT = 8
"""Revisions: a few branches and their bases."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fleet (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    fleet BLOB NOT NULL,
    context BLOB NOT NULL,
    claims BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS member (
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (key, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard (digest TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS base (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    base TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS planned (
    base TEXT NOT NULL,
    digest TEXT NOT NULL,
    made TEXT NOT NULL,
    until TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (base, digest)
) WITHOUT ROWID;
"""
_FORGET_FLEETS = """
DELETE FROM fleet WHERE sequence NOT IN (SELECT sequence FROM fleet ORDER BY sequence DESC LIMIT ?)
"""
_FORGET_BASES = """
DELETE FROM base WHERE sequence NOT IN (SELECT sequence FROM base ORDER BY sequence DESC LIMIT ?)
"""
_FORGET_REST = (
    "DELETE FROM member WHERE key NOT IN (SELECT key FROM fleet)",
    "DELETE FROM shard WHERE digest NOT IN (SELECT digest FROM member)",
)


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
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")  # a lost cache is made again
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise CacheError(f"{path}: {error}") from error

    def index(self, tree: str) -> FleetIndex | None:
        """Return the fleet that was kept for a tree."""
        key = self._key(tree)
        rows = self._read("SELECT fleet FROM fleet WHERE key = ?", key)
        if not rows:
            return None
        fleet, warnings, digest, ownership = unpickled(rows[0][0])
        members = self._read(
            "SELECT name, count, digest FROM member WHERE key = ? ORDER BY position", key
        )
        shards = {name: StoredShard(name, count, digest, self) for name, count, digest in members}
        return FleetIndex(fleet, shards, warnings, digest, ownership)

    def groundwork(self, tree: str) -> Groundwork:
        """Return what a changed file of a kept tree can be compiled with."""
        rows = self._read("SELECT context, claims FROM fleet WHERE key = ?", self._key(tree))
        if not rows:
            raise CacheError(f"tree {tree} is gone")
        context, groups, counts = unpickled(rows[0][0])
        context = context.with_groups(PickledGroups(groups))
        return Groundwork(context, Claims.from_bytes(rows[0][1]), counts)

    def trees(self) -> tuple[str, ...]:
        """Return the trees that are kept, the newest first."""
        rows = self._read("SELECT key FROM fleet ORDER BY sequence DESC")
        keys = (key.rpartition(" ") for (key,) in rows)
        return tuple(tree for version, _, tree in keys if version == self._version)

    def body(self, digest: str) -> bytes:
        """Return a shard's body; CacheError when it is damaged or gone."""
        rows = self._read("SELECT body FROM shard WHERE digest = ?", digest)
        if not rows or shard_digest(rows[0][0]) != digest:
            raise CacheError(f"shard {digest} is damaged or gone")
        return bytes(rows[0][0])

    def keep(self, tree: str, index: FleetIndex, groundwork: Groundwork) -> None:
        """Keep a fleet, and forget those that were not kept for longest."""
        key = self._key(tree)
        members = [
            (key, position, shard.group, shard.count, shard.digest)
            for position, shard in enumerate(index.shards.values())
        ]
        fresh = [
            (shard.digest, shard.body)
            for shard in index.shards.values()
            if isinstance(shard, FreshShard)
        ]
        fleet = pickle.dumps((index.surroundings, index.warnings, index.digest, index.ownership))
        groups = PickledGroups.of(groundwork.context.groups)
        bare = groundwork.context.with_groups({})
        context = pickle.dumps((bare, groups.pickled, groundwork.counts))
        claims = groundwork.claims.to_bytes()
        with self._writing() as write:
            write("DELETE FROM fleet WHERE key = ?", [(key,)])
            write("DELETE FROM member WHERE key = ?", [(key,)])
            write(
                "INSERT INTO fleet (key, fleet, context, claims) VALUES (?, ?, ?, ?)",
                [(key, fleet, context, claims)],
            )
            write("INSERT INTO member VALUES (?, ?, ?, ?, ?)", members)
            write("INSERT OR REPLACE INTO shard VALUES (?, ?)", fresh)
            write(_FORGET_FLEETS, [(KEPT,)])
            for statement in _FORGET_REST:
                write(statement, [()])

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

    def _key(self, tree: str) -> str:
        return f"{self._version} {tree}"

    def _read(self, query: str, *values: str) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise CacheError(str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[Callable[[str, Sequence[tuple[object, ...]]], object]]:
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection.executemany
        except sqlite3.Error as error:
            raise CacheError(str(error)) from error


def _refuse_others(path: Path) -> None:
    state = path.stat()
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{path} may be written by others")
