"""How package sources were mirrored, and which packages they have.

A package that its source yanked or deleted stays as a tombstone: it is not offered, and why is
still known. Its content is kept for a while, for machines that are at it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as upsert

from providers.content.errors import ContentError, Failure
from providers.package_source.mirror import MirroredPackage, MirrorResult
from providers.package_source.package_file import PackageFile
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Fault
from specs.fleet import CompiledPackageSource

KEPT_CONTENT = timedelta(days=30)
"""How long the content of what is not offered any more is kept."""
NO_DOCUMENT = "its source is in no document"

PackageState = Literal["offered", "incomplete", "yanked", "deleted"]
"""``incomplete``: offered by the source, and not all of it is here."""


class SourceState(NamedTuple):
    """What is known of a source. ``failure`` is empty where its last mirror went well."""

    source: str
    rhythm: str
    """Of the schedule that was looked at; empty where there was none."""
    handled_until: datetime | None
    begun_at: datetime | None
    ended_at: datetime | None
    succeeded_at: datetime | None
    failure: Failure | Literal[""]
    code: str
    cause: str
    received: int
    """Bytes that the last mirror transferred."""


class KeptPackage(NamedTuple):
    """A package of a source."""

    source: str
    name: str
    version: str
    sha256: str
    """Of its ``package.json`` in the content store."""
    state: PackageState
    reason: str
    since: datetime
    files: tuple[PackageFile, ...]

    @property
    def size(self) -> int:
        """Return the bytes of its files."""
        return sum(each.size for each in self.files)


class KnownSource(NamedTuple):
    """A source of the repository's documents, and how its last mirror went."""

    document: CompiledPackageSource
    state: SourceState | None
    """None where it was never looked at."""
    offered: int
    """How many packages machines may get from it."""
    next: datetime | None
    """When its schedule mirrors it."""


class PackageMirrors:
    """Package sources on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sources(self) -> dict[str, SourceState]:
        """Return what is known of each source, by its name."""
        table = schema.package_source
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.source))
            return {row.source: SourceState(*row) for row in rows}

    def packages(self) -> tuple[KeptPackage, ...]:
        """Return all packages of all sources, tombstones too, by source, name and version."""
        table = schema.source_package
        query = select(table).order_by(table.c.source, table.c.name, table.c.version)
        with self._database.reading() as connection:
            return tuple(_kept(row) for row in connection.execute(query))

    def handle(self, source: str, rhythm: str, until: datetime) -> None:
        """Note up to when a source's schedule was looked at."""
        self._put(source, {"rhythm": rhythm, "handled_until": until})

    def begin(self, source: str, at: datetime) -> None:
        """Note that a mirror began."""
        self._put(source, {"begun_at": at})

    def record(self, source: str, result: MirrorResult, at: datetime) -> None:
        """Note how a mirror ended, and what the source has now: all of it or nothing."""
        error = result.error
        row: dict[str, object] = {
            "ended_at": at,
            "failure": failure_of(result),
            "code": "" if error is None else error.code,
            "cause": "" if error is None else error.cause,
            "received": result.received,
        }
        if error is None:
            row["succeeded_at"] = at
        with self._database.writing() as connection:
            connection.execute(_upserted(source, row))
            if result.packages is None:
                return
            table = schema.source_package
            query = select(table).where(table.c.source == source)
            known = {(row.name, row.version): _kept(row) for row in connection.execute(query)}
            for each in _changed(source, known, result.packages, result.names, at):
                values = {**each._asdict(), "files": _files_text(each.files)}
                connection.execute(
                    upsert(table)
                    .values(values)
                    .on_conflict_do_update(
                        index_elements=["source", "name", "version"], set_=values
                    )
                )

    def forget(self, sources: Iterable[str], at: datetime) -> None:
        """Note that sources are in no document any more: nothing of theirs is offered."""
        gone = list(sources)
        table, packages = schema.package_source, schema.source_package
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.source.in_(gone)))
            connection.execute(
                update(packages)
                .where(packages.c.source.in_(gone), packages.c.state.in_(["offered", "incomplete"]))
                .values(state="deleted", reason=NO_DOCUMENT, since=at)
            )

    def _put(self, source: str, row: Mapping[str, object]) -> None:
        with self._database.writing() as connection:
            connection.execute(_upserted(source, row))


def offered(packages: Iterable[KeptPackage], order: Sequence[str]) -> tuple[KeptPackage, ...]:
    """Return what machines may get: of one package in two sources, what the first one has.

    ``order`` has the sources as they are asked. A source has a package as long as it lists it,
    yanked or not, so that a later one cannot slip in its own.
    """
    known = list(packages)
    owner = owners(known, order)
    return tuple(
        each for each in known if each.state == "offered" and owner.get(each.name) == each.source
    )


def owners(packages: Iterable[KeptPackage], order: Sequence[str]) -> dict[str, str]:
    """Return of which source each package is, by its name."""
    place = {name: number for number, name in enumerate(order)}
    found: dict[str, str] = {}
    for each in packages:
        if each.state == "deleted" or each.source not in place:
            continue
        first = found.setdefault(each.name, each.source)
        if place[each.source] < place[first]:
            found[each.name] = each.source
    return found


def named_content(packages: Iterable[KeptPackage], now: datetime) -> frozenset[str]:
    """Return the checksums of what the content store has to keep for packages."""
    kept = [
        each
        for each in packages
        if each.state in {"offered", "incomplete"} or now - each.since < KEPT_CONTENT
    ]
    files = (file for each in kept for file in each.files)
    return frozenset([*(each.sha256 for each in kept), *(file.sha256 for file in files)])


def failing_sources(sources: Iterable[SourceState]) -> tuple[Fault, ...]:
    """Return a fault for each source whose last mirror went wrong."""
    return tuple(
        Fault(
            f"package-source/{each.source}",
            each.code,
            each.cause,
            since=each.succeeded_at or each.ended_at,
            at=each.ended_at,
            times=1,
        )
        for each in sources
        if each.failure and each.ended_at is not None
    )


def failure_of(result: MirrorResult) -> Failure | Literal[""]:
    """Return the class of failure of a mirror; empty where it went well."""
    if result.error is None:
        return ""
    if result.failure is not None:
        return result.failure
    return result.error.failure if isinstance(result.error, ContentError) else "space"


def _changed(
    source: str,
    known: Mapping[tuple[str, str], KeptPackage],
    listed: Iterable[MirroredPackage],
    names: frozenset[str],
    at: datetime,
) -> list[KeptPackage]:
    """Return the rows that a list changes, tombstones among them."""
    now = {(each.name, each.version): each for each in listed}
    found = []
    for key, each in now.items():
        row = _row(source, each, known.get(key), at)
        if row != known.get(key):
            found.append(row)
    for key, row in known.items():
        if key in now or row.state == "deleted":
            continue
        is_taken = row.name in names and not any(name == row.name for name, _ in now)
        reason = "an earlier source has it" if is_taken else "the source has it no more"
        found.append(row._replace(state="deleted", reason=reason, since=at))
    return found


def _row(
    source: str, package: MirroredPackage, known: KeptPackage | None, at: datetime
) -> KeptPackage:
    state: PackageState = "offered"
    if package.yanked or package.problem:
        state = "yanked" if package.yanked else "incomplete"
    is_same = known is not None and known.state == state and known.sha256 == package.sha256
    files = package.files
    if known is not None and known.sha256 == package.sha256 and state != "offered":
        files = known.files  # so that its content is kept for a while
    return KeptPackage(
        source,
        package.name,
        package.version,
        package.sha256,
        state,
        package.yanked or package.problem,
        known.since if is_same and known is not None else at,
        files,
    )


def _upserted(source: str, row: Mapping[str, object]) -> Insert:
    empty = {"rhythm": "", "failure": "", "code": "", "cause": "", "received": 0}
    return (
        upsert(schema.package_source)
        .values({**empty, "source": source, **row})
        .on_conflict_do_update(index_elements=["source"], set_=dict(row))
    )


def _kept(row: Row[Any]) -> KeptPackage:
    files = tuple(PackageFile(*each) for each in json.loads(row.files))
    plain = (row.source, row.name, row.version, row.sha256, row.state, row.reason, row.since)
    return KeptPackage(*plain, files)


def _files_text(files: Iterable[PackageFile]) -> str:
    return json.dumps([[each.name, each.sha256, each.size] for each in files])
