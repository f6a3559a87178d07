"""Retention and garbage of the image store: what documents let go of, and what nobody needs."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog

from agent.errors import CodedError, one_line
from providers.imaging.collection import Collected, Limits, collect
from providers.imaging.errors import PinnedImageError
from providers.imaging.image_record import ImageEntry
from providers.imaging.store import ChunkStore
from providers.own_thread import in_own_thread
from reconciler.planning.retention import Generation, keep
from reconciler.state.database import Database
from reconciler.state.image_events import ImageEvent, ImageEvents
from reconciler.state.image_needs import ImageNeeds
from specs.fleet import CompiledFleet, CompiledRetention
from specs.types.name import MACHINE, of_machine

log = structlog.get_logger()

PRUNE_INTERVAL = 3600.0
"""Seconds between two looks at what retention lets go of."""
_GRACE = timedelta(days=1)
"""How long chunks are kept that a capture was told of, and images that nobody named."""
_FILE_TIMES_LAG = timedelta(seconds=2)
_KEPT_ASIDE = timedelta(days=30)
"""How long corrupt chunks are kept."""
_ACTOR = "retention"


class Pruned(NamedTuple):
    """What retention leaves of one name."""

    name: str
    kept: int
    dropped: tuple[ImageEntry, ...]
    """The newest first."""


class ImageKeeper:
    """Lets go of generations by the documents' retention, and of what nobody needs."""

    def __init__(
        self, store: ChunkStore, database: Database, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._needs = ImageNeeds(database)
        self._events = ImageEvents(database)
        self._clock = clock

    async def prune_for_ever(
        self, fleet: Callable[[], CompiledFleet], observes_only: Callable[[], bool]
    ) -> None:
        """Prune every hour by the fleet of then, and collect what that frees."""
        while True:
            await asyncio.sleep(PRUNE_INTERVAL)
            if observes_only():
                continue
            try:
                await self._prune(fleet())
            except CodedError as error:
                log.warning("images are not pruned", code=error.code, cause=error.cause)
            except OSError as error:  # its disk or file server: a fault says so
                log.warning("images are not pruned", cause=one_line(error))

    async def _prune(self, fleet: CompiledFleet) -> None:
        pruned = await in_own_thread(partial(self.prune, fleet, dry_run=False), "retention")
        for each in pruned:
            log.info("generations pruned", image=each.name, dropped=len(each.dropped))
        if pruned:
            found = await in_own_thread(partial(self.collect, dry_run=False), "garbage of images")
            log.info("image store collected", chunks=found.chunks, bytes=found.freed)

    def prune(self, fleet: CompiledFleet, *, dry_run: bool) -> tuple[Pruned, ...]:
        """Drop the generations that documents do not keep, or only say which."""
        policies = _policies(fleet)
        if not policies:
            return ()
        self._store.require_there()
        found = []
        needed = self._needs.images()
        names = {tag.name: self._store.generations(tag.name) for tag in self._store.names.tags()}
        kept = {
            name: _kept(entries, policies.get(name)) | needed for name, entries in names.items()
        }
        together = set(_captured_with(names, kept))
        for name, entries in names.items():
            dropped = tuple(
                each
                for each in entries
                if each.digest not in kept[name] and (name, each.digest) not in together
            )
            if dropped and (dry_run or self._drop(name, dropped)):
                found.append(Pruned(name, len(entries) - len(dropped), dropped))
        return tuple(found)

    def _drop(self, name: str, dropped: tuple[ImageEntry, ...]) -> bool:
        now = self._clock()
        why = f"spec.retention of Image {name}"
        # First: what is gone must not be gone unsaid.
        self._events.record(
            *(ImageEvent("remove", each.digest, name, now, _ACTOR, why) for each in dropped)
        )
        try:
            self._store.names.forget(name, [each.digest for each in dropped])
        except PinnedImageError:  # somebody pinned it in this moment: the next look leaves it out
            return False
        return True

    def collect(self, *, dry_run: bool) -> Collected:
        """Delete the images and chunks that nobody needs, or only say which.

        Raises as ``providers.imaging.collection.collect``.
        """
        self._store.require_there()
        now = self._clock()
        before = min([now - _GRACE, *self._needs.captures_planned()]) - _FILE_TIMES_LAG
        if not dry_run:
            before -= self._store.lag()
        limits = Limits(before, now - _KEPT_ASIDE, self._needs.images)
        return collect(self._store, limits, dry_run=dry_run)


def _policies(fleet: CompiledFleet) -> dict[str, CompiledRetention]:
    """Return how much is kept of which image, by the names that machines give them."""
    said = {name: each.retention for name, each in fleet.images.items() if each.retention}
    of_machines = {
        of_machine(name, machine): policy
        for name, policy in said.items()
        if MACHINE in name
        for machine in fleet.machines
    }
    return {**of_machines, **said}


def _kept(entries: Sequence[ImageEntry], policy: CompiledRetention | None) -> frozenset[str]:
    """Return the digests of the generations that a policy keeps; all of them without one."""
    if policy is None:
        return frozenset(each.digest for each in entries)
    return keep([_generation(each) for each in entries], policy)


def _captured_with(
    names: Mapping[str, Sequence[ImageEntry]], kept: Mapping[str, frozenset[str]]
) -> Iterator[tuple[str, str]]:
    """Yield name and digest of what was captured with a generation that is kept.

    A set stays as a whole as long as one of its images does. Of an image that belongs to several,
    because its disk did not change, that is the newest.
    """
    for name, entries in names.items():
        for each in entries:
            if each.digest in kept[name] and each.sets:
                for member in each.sets[0].others(name, each.digest):
                    yield member.name, member.digest


def _generation(entry: ImageEntry) -> Generation:
    at = datetime.fromisoformat(entry.named_at)
    # Of what is damaged too little is known to let go of it.
    kept = entry.pinned or entry.damaged
    return Generation(entry.digest, at, entry.restore_test, kept, bool(entry.unreadable_bytes))
