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
from reconciler.source.acceptance import Accept, Decision, Refuse
from reconciler.source.location import RemoteRepository, open_source, parse_location
from reconciler.source.repository import find_repository
from reconciler.source.tree import SourceTree
from specs.compile import compile_fleet
from specs.compiled import CompiledFleet

if TYPE_CHECKING:
    from providers.imaging.store import ChunkStore
    from reconciler.observed import Observed
    from reconciler.source.admission import Admission
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
        return compiled(self.source)

    @cached_property
    def admission(self) -> "Admission":
        """What tells which revisions may be acted on."""
        from reconciler.source.admission import Admission  # noqa: PLC0415 - slow to load
        from reconciler.store.accepted_revisions import AcceptedRevisions  # noqa: PLC0415

        return Admission(self._repo, self.state / "sources", AcceptedRevisions(self.database))

    @cached_property
    def decision(self) -> Decision:
        """Whether the revision may be acted on; raises as ``fleet``."""
        return self.admission.judge(self.source, self.fleet.settings.commits)

    @property
    def notice(self) -> str:
        """What a reviewer should know of the revision's acceptance; nothing where it is usual."""
        if isinstance(self.decision, Refuse):
            return f"for review only, this commit is not acceptable: {self.decision.error}"
        last = self.admission.last
        if last is not None and last.commit == self.source.revision:
            return ""
        if self.decision.first and self.fleet.settings.commits.verify != "none":
            return (
                f"not accepted yet: the first commit here, {self.decision.reason}, a signer that "
                "it lists itself. Nothing else vouches for it: compare before it is applied"
            )
        return f"not accepted yet: {self.decision.reason}" if self.decision.signed else ""

    def judge(self, tree: SourceTree) -> tuple[CompiledFleet, Decision]:
        """Return the fleet of another revision of the source, and whether it may be acted on.

        Raises InvalidRepositoryError (RW901).
        """
        fleet = compiled(tree)
        return fleet, self.admission.judge(tree, fleet.settings.commits)

    def require_acceptable(self) -> Accept:
        """Return why the revision may be acted on; raise why not where it may not be."""
        if isinstance(self.decision, Refuse):
            raise self.decision.error
        return self.decision

    def accept(self, actor: str, now: datetime) -> None:
        """Remember that the revision is acted on."""
        self.admission.accept(self.source, actor, self.require_acceptable().reason, now)

    def hold(self) -> ReconcilerError | None:
        """Go on with the last accepted revision where the present one may not be acted on.

        Returns why, None where the present one may be. Raises that where none was
        accepted before.
        """
        try:
            if isinstance(self.decision, Accept):
                return None
            error: ReconcilerError = self.decision.error
        except (SourceError, InvalidRepositoryError) as refused:
            error = refused
        try:
            tree = self.admission.last_tree()
        except SourceError as missing:
            raise error from missing
        if tree is None:
            raise error
        self.source, self.fleet = tree, compiled(tree)
        self.decision = Accept("it is the last accepted commit")
        return error

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


def compiled(tree: SourceTree) -> CompiledFleet:
    """Return the fleet that the files describe; InvalidRepositoryError (RW901) lists problems."""
    result = compile_fleet(tree.files, tree.revision)
    if result.fleet is None:
        errors = [problem for problem in result.problems if problem.severity == "error"]
        listing = "\n".join(str(problem) for problem in result.problems)
        raise InvalidRepositoryError(
            "RW901",
            f"the repository has {len(errors)} error(s)\n{listing}",
            "Correct them; nothing else was done",
        )
    return result.fleet


def utc_now() -> datetime:
    """Return the present time; the one place where commands read the clock."""
    return datetime.now(UTC)
