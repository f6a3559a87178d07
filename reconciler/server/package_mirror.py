"""Mirroring package sources, by their schedules or by hand, and fetching what documents name.

One source after the other, in their order, each beside the event loop. What was found is
written down when a mirror ends; one that was killed goes on where it ended, with the content that
is there.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from providers.agent_package.release import AgentReleases
from providers.content.download import Wanted
from providers.content.files import Fetched, fetch_files
from providers.content.store import KEEP_FREE, ContentStore
from providers.content.web import Login
from providers.own_thread import in_own_thread
from providers.package_source.mirror import MirrorResult, mirror
from reconciler.errors import SecretError, StateError
from reconciler.planning.schedules import due, first_moment, rhythm
from reconciler.state.database import Database
from reconciler.state.faults import Faults
from reconciler.state.operations import Operations, placed_content
from reconciler.state.package_mirrors import PackageMirrors, named_content, owners
from reconciler.trust.secrets import Secrets
from specs.fleet import CompiledFleet, CompiledPackageSource, PackageFile

CONTENT = "content"
RELEASES = "agent-releases"
"""Manifests of the agent's releases."""
"""The content store in the state directory."""
SOURCES = "package-sources"
"""In the state directory, what was seen of each source."""
FILES = "package-files"
"""The fault's subject while a file of a Package document cannot be fetched."""
LOOK = 2.0
"""Seconds between looks whether a source is due."""
FETCH_AGAIN = timedelta(minutes=15)
SWEEP_EVERY = timedelta(hours=6)
_YOUNG = timedelta(days=1)
"""Content that is younger stays, named or not: it is written down when all of a package is here."""

log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The server ends, or a person interrupted: what is there is gone on with later."""


def releases_of(state: Path) -> AgentReleases:
    """Return the agent's releases that a state directory has."""
    return AgentReleases(state / RELEASES, ContentStore(state / CONTENT))


class SourceMirror:
    """Mirrors sources into the content store of a state directory; one thread at a time."""

    def __init__(
        self, state: Path, database: Database, secrets: Secrets, clock: Callable[[], datetime]
    ) -> None:
        self.store = ContentStore(state / CONTENT)
        self.releases = AgentReleases(state / RELEASES, self.store)
        self.mirrors = PackageMirrors(database)
        self._operations = Operations(database)
        self._sources = state / SOURCES
        self._secrets = secrets
        self._clock = clock

    def run(
        self,
        source: CompiledPackageSource,
        order: Iterable[str],
        check: Callable[[], None],
    ) -> MirrorResult:
        """Mirror one source; ``order`` has all sources as they are asked.

        What went wrong is in the result. Nothing is written down: ``record`` does that. Raises
        what ``check`` raises, and StateError.
        """
        names = list(order)
        before = names[: names.index(source.name)] if source.name in names else []
        taken = owners(self.mirrors.packages(), before)
        try:
            login = self._login(source)
        except SecretError as error:
            return MirrorResult(error=error, failure="secret")
        folder = self._sources / source.name
        return mirror(
            source, self.store, folder, self._clock(), login=login, taken=taken, check=check
        )

    def begin(self, source: CompiledPackageSource) -> None:
        """Note that a mirror begins."""
        self.mirrors.begin(source.name, self._clock())

    def record(self, source: CompiledPackageSource, result: MirrorResult) -> None:
        """Note how a mirror ended."""
        self.mirrors.record(source.name, result, self._clock())

    def fetch(self, files: Iterable[PackageFile], check: Callable[[], None]) -> Fetched:
        """Have files that documents name in the store; raises what ``check`` raises."""
        wanted = [Wanted(each.url, each.sha256) for each in files]
        return fetch_files(wanted, self.store, keep_free=KEEP_FREE, check=check)

    def sweep(self, fleet: CompiledFleet, now: datetime) -> int:
        """Delete content that nothing names any more; return how many files."""
        named = {
            *named_content(self.mirrors.packages(), now),
            *placed_content(self._operations),
            *(each.sha256 for each in fleet.package_files),
            *self.releases.named_content(),
        }
        return self.store.sweep(named, now - _YOUNG)

    def _login(self, source: CompiledPackageSource) -> Login | None:
        if not source.username:
            return None
        return Login(source.username, self._secrets.resolve(source.password).value)


class PackageMirroring:
    """What the server does for packages: ``run`` is a task for a Supervisor."""

    def __init__(
        self,
        mirror: SourceMirror,
        fleet: Callable[[], CompiledFleet],
        faults: Faults,
        clock: Callable[[], datetime],
        *,
        by_schedule: bool,
    ) -> None:
        self._mirror = mirror
        self._fleet = fleet
        self._faults = faults
        self._clock = clock
        self._by_schedule = by_schedule
        self._stop = threading.Event()
        self._fetched: CompiledFleet | None = None
        self._fetch_at = self._sweep_at = clock()

    async def run(self) -> None:
        """Mirror what is due and fetch what documents name, until cancelled."""
        self._stop.clear()
        try:
            while True:
                with suppress(StateError):  # another process writes: the next look goes on
                    await self.step()
                await asyncio.sleep(LOOK)
        finally:
            self._stop.set()

    async def step(self) -> None:
        """Do what is due now, to its end. StateError where the state cannot be used."""
        fleet = self._fleet()
        if self._by_schedule:
            for source in self._due(fleet):
                await self._mirror_one(fleet, source)
        if fleet is not self._fetched or self._clock() >= self._fetch_at:
            await self._fetch(fleet)
        if self._clock() >= self._sweep_at:
            self._sweep_at = self._clock() + SWEEP_EVERY
            count = await asyncio.to_thread(self._mirror.sweep, fleet, self._clock())
            if count:
                log.info("content swept", files=count)

    def _due(self, fleet: CompiledFleet) -> list[CompiledPackageSource]:
        """Return the sources that are to be mirrored now, and forget those that are gone."""
        known = self._mirror.mirrors.sources()
        now = self._clock()
        gone = known.keys() - {each.name for each in fleet.package_sources}
        if gone:
            self._mirror.mirrors.forget(gone, now)
        found = []
        for source in fleet.package_sources:
            schedule = source.schedule
            if schedule is None:
                continue
            state = known.get(source.name)
            handled = state.handled_until if state and state.rhythm == rhythm(schedule) else None
            if handled is None:
                handled = first_moment(schedule, now)
                self._mirror.mirrors.handle(source.name, rhythm(schedule), handled)
            moments = due(schedule, handled, now)
            if any(not each.left_out for each in moments):
                found.append(source)
            elif moments:
                self._mirror.mirrors.handle(source.name, rhythm(schedule), now)
        return found

    async def _mirror_one(self, fleet: CompiledFleet, source: CompiledPackageSource) -> None:
        """Mirror a source. It counts as handled once that has ended, however it did."""
        order = [each.name for each in fleet.package_sources]
        at = self._clock()
        self._mirror.begin(source)
        result = await in_own_thread(
            lambda: self._mirror.run(source, order, self._check), "packages"
        )
        self._mirror.record(source, result)
        error = result.error
        if error is None:
            log.info("source mirrored", source=source.name, received=result.received)
        else:
            log.error("source not mirrored", source=source.name, code=error.code, cause=error.cause)
        assert source.schedule is not None  # noqa: S101 - it was due
        self._mirror.mirrors.handle(source.name, rhythm(source.schedule), at)

    async def _fetch(self, fleet: CompiledFleet) -> None:
        store = self._mirror.store
        missing = [each for each in fleet.package_files if not store.has(each.sha256)]
        fetched = Fetched((), ())
        if missing:
            fetched = await in_own_thread(
                lambda: self._mirror.fetch(missing, self._check), "packages"
            )
        for wanted, error in fetched.failed:
            log.error("file not fetched", url=wanted.url, code=error.code, cause=error.cause)
        if fetched.failed:
            _, first = fetched.failed[0]
            rest = f" and {len(fetched.failed) - 1:,} more" if len(fetched.failed) > 1 else ""
            self._faults.record(FILES, first.code, first.cause + rest, self._clock())
            self._fetch_at = self._clock() + FETCH_AGAIN
        else:
            self._faults.end(FILES)
            self._fetch_at = self._clock() + SWEEP_EVERY
        self._fetched = fleet

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoppedError
