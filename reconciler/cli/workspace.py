"""What most commands begin with: the compiled fleet and the embedded state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError, SourceError
from reconciler.planning.plan import Plan
from reconciler.rendering.problem_list import plain
from reconciler.source.location import RemoteRepository, open_source, parse_location
from reconciler.source.repository import find_repository, is_in_git
from reconciler.source.tree import SourceTree
from specs.compile import compile_fleet
from specs.compiled import CompiledFleet

if TYPE_CHECKING:
    from providers.imaging.store import ChunkStore
    from reconciler.observed import Observed
    from reconciler.store.database import Database


_REMOTE_INTERVAL = 30.0
"""Seconds between two looks at a repository behind a URL."""


class InvalidRepositoryError(ReconcilerError):
    """The repository has problems; they were listed."""


class Workspace:
    """One repository at one revision beside one state directory; everything is opened lazily."""

    def __init__(self, repo: str, ref: str | None, state: Path) -> None:
        self._repo = repo
        self._ref = ref
        self.state = state

    @cached_property
    def ref(self) -> str | None:
        """The ref to read: HEAD where a directory in Git was named without one.

        What acts on machines acts on commits; None reads a directory outside Git as
        it is.
        """
        place = parse_location(self._repo)
        if self._ref is not None or isinstance(place, RemoteRepository):
            return self._ref
        try:
            find_repository(place)
        except SourceError:
            if is_in_git(place):
                raise  # without its commits, nothing may be acted on
            return None
        return "HEAD"

    @cached_property
    def source(self) -> SourceTree:
        """The repository's files at the revision."""
        return open_source(self._repo, self.ref, cache=self.state / "sources")

    async def watch(self, stop: asyncio.Event) -> AsyncIterator[SourceTree | SourceError]:
        """Yield every new revision, or why there is none, until ``stop`` is set."""
        place = parse_location(self._repo)
        if not isinstance(place, RemoteRepository):
            from reconciler.source.watch import watch  # noqa: PLC0415 - only `serve` needs it

            async for sight in watch(place, stop, self.ref):
                yield sight
            return
        last = self.source.revision
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _REMOTE_INTERVAL)
                return
            try:
                tree = await asyncio.to_thread(
                    open_source, self._repo, self.ref, cache=self.state / "sources"
                )
            except SourceError as error:
                yield error
                continue
            if tree.revision != last:
                last = tree.revision
                yield tree

    @cached_property
    def fleet(self) -> CompiledFleet:
        """The compiled fleet; InvalidRepositoryError (RW901) carries every problem's text."""
        result = compile_fleet(self.source.files, self.source.revision)
        if result.fleet is None:
            errors = [problem for problem in result.problems if problem.severity == "error"]
            listing = plain(result.problems)
            raise InvalidRepositoryError(
                "RW901",
                f"the repository has {len(errors)} error(s)\n{listing}",
                "Correct them; nothing else was done",
            )
        return result.fleet

    @cached_property
    def database(self) -> "Database":
        """The state database, created and migrated as needed."""
        from reconciler.store.database import open_database  # noqa: PLC0415 - slow to load

        return open_database(self.state / "rackwright.db")

    @cached_property
    def store(self) -> "ChunkStore":
        """The image store."""
        from providers.imaging.store import ChunkStore  # noqa: PLC0415 - slow to load

        return ChunkStore(self.state / "store")

    def observed(self, now: datetime) -> "Observed":
        """Return the world as it was last heard of."""
        from reconciler.store.images import observed_images  # noqa: PLC0415 - slow to load
        from reconciler.store.observe import observe  # noqa: PLC0415 - slow to load

        machines = self.fleet.machines.values()
        return observe(self.database, machines, observed_images(self.store), now)

    def plan(self, now: datetime) -> Plan:
        """Return the plan of this moment."""
        from reconciler.planning.planner import plan  # noqa: PLC0415 - slow to load

        return plan(self.fleet, self.observed(now), now)


def utc_now() -> datetime:
    """Return the present time; the one place where commands read the clock."""
    return datetime.now(UTC)
