"""Scrubbing the image store by the Fleet document: all of it is read, again and again.

One thread of low priority reads at a bounded rate. How far it is is written down every few
seconds: a server that starts again goes on there. What is damaged is set aside, its images are
restored no more, and ``status`` says so (RW995) until they can be restored again.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from providers.imaging.errors import DamagedRecordError, StoreAwayError, UnknownImageError
from providers.imaging.scrub import scrub_chunk
from providers.imaging.store import ChunkStore
from providers.imaging.store_identity import found_at
from providers.imaging.verification import Damage, damages_by, missing_of, take_out_of_use
from providers.own_thread import in_own_thread
from reconciler.errors import StateError
from reconciler.state.database import Database
from reconciler.state.image_checks import (
    DAMAGED_IMAGE,
    SCRUB,
    ImageCheck,
    ImageChecks,
    ImageScrub,
    ImageScrubs,
)
from reconciler.state.schema import time_text
from specs.fleet import CompiledScrub

LOOK = 30.0
"""Seconds between looks whether a scrub is due."""
_WRITE_EVERY = timedelta(seconds=10)
_WRITTEN_AT_ONCE = 200
"""Images."""
_BEHIND = 1.0
"""Seconds that slow reading may be caught up with."""
_NICE = 19
"""Of the thread; the kernel takes the priority of its reading from it (ioprio_set(2))."""
ALL_READ = 1 << 16
"""The folder behind the last one: only what is missing is still to be found."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The server ends, or the documents say so: it goes on later."""


class Pace:
    """Holds reading to a rate, and has it stop. ``monotonic`` is in seconds.

    ``wait(seconds)`` returns early, and True, once it is to stop.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._monotonic = monotonic
        self._wait = wait or self._stopping.wait
        self._due = monotonic()

    def begin(self) -> None:
        """Let reading go on."""
        self._stopping.clear()

    def stop(self) -> None:
        """Have it stop at the next chunk."""
        self._stopping.set()

    def took(self, size: int, bytes_per_second: int) -> None:
        """Wait as long as so many bytes take. StoppedError."""
        now = self._monotonic()
        self._due = max(self._due, now - _BEHIND) + size / bytes_per_second
        if self._wait(max(0.0, self._due - now)):
            raise StoppedError


class ImageScrubbing:
    """What the server does about the store: ``run`` is a task for a Supervisor."""

    def __init__(
        self,
        store: ChunkStore,
        database: Database,
        settings: Callable[[], CompiledScrub],
        clock: Callable[[], datetime],
        pace: Pace,
    ) -> None:
        self._store = store
        self._scrubs = ImageScrubs(database)
        self._checks = ImageChecks(database)
        self._settings = settings
        self._clock = clock
        self._pace = pace
        self._loop: asyncio.AbstractEventLoop
        self._found: dict[str, list[Damage]] = {}
        """By image, what this scrub found since the server started."""
        self._aside: set[str] = set()
        """Chunks that it found damaged since then, also those that no image needs."""

    async def run(self) -> None:
        """Scrub when it is due, until cancelled."""
        self._pace.begin()
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK)
        finally:
            self._pace.stop()

    async def look(self) -> None:
        """Scrub if it is due now, to its end, or until something is in the way."""
        with suppress(StateError, StoreAwayError, StoppedError):  # the next look goes on
            if self._settings().enabled:
                loop = asyncio.get_running_loop()
                await in_own_thread(partial(self._go_on, loop), "scrub of images")

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        self._store.require_there()
        # Without a place for what it finds, there is no sense in looking.
        scrub = None if found_at(self._store.root).is_read_only else self._due()
        if scrub is not None:
            self._find_missing(self._read(scrub))

    def _due(self) -> ImageScrub | None:
        """Return the scrub that goes on or begins now."""
        newest, now = self._scrubs.newest(), self._clock()
        if newest is not None and newest.ended is None:
            return newest
        every = timedelta(seconds=self._settings().every_seconds)
        if newest is not None and newest.started <= now < newest.started + every:
            return None
        if not self._store.image_digests():
            return None
        self._found, self._aside = {}, set()
        log.info("scrub begins")
        return self._write(lambda: self._scrubs.begin(now))

    def _read(self, scrub: ImageScrub) -> ImageScrub:
        """Read all chunks that were not read yet."""
        written = self._clock()
        try:
            for folder in self._store.folders(scrub.folder):
                if self._clock() - written >= _WRITE_EVERY:
                    self._record(scrub)
                    written = self._clock()
                scrub = self._read_folder(scrub, folder)
            scrub = scrub._replace(folder=ALL_READ)
        finally:
            self._record(scrub)
        return scrub

    def _read_folder(self, scrub: ImageScrub, folder: int) -> ImageScrub:
        chunks = size = 0
        problems: dict[str, str] = {}
        try:
            for digest in self._store.chunks_in(folder):
                one = scrub_chunk(self._store, digest)
                if one.problem:
                    log.error(
                        "chunk damaged", code=DAMAGED_IMAGE, chunk=digest, problem=one.problem
                    )
                    problems[digest] = one.problem
                    self._aside.add(digest)
                chunks, size = chunks + 1, size + one.size
                self._keep_pace(one.size)
        finally:  # what was set aside would be missing without a word
            if problems:
                self._damaged(damages_by(self._store, lambda chunk: problems.get(chunk.digest, "")))
        return scrub._replace(
            folder=folder + 1,
            chunks=scrub.chunks + chunks,
            size=scrub.size + size,
            damages=scrub.damages + len(problems),
        )

    def _find_missing(self, scrub: ImageScrub) -> None:
        """Look for what images lack, and write down how each is, and how much is damaged."""
        whole: list[ImageCheck] = []
        lacking: dict[str, set[str]] = {}
        for digest in sorted(self._store.expected()):
            self._keep_pace(0)
            missing = tuple(missing_of(self._store, digest))
            known = self._checks.of_image(digest)
            if known is not None and known.at < scrub.started:
                known = None
            if missing:
                lacking[digest] = {each.chunk for each in missing}
                self._say_missing(digest, missing, known)
            elif known is None and self._was_there(digest, scrub.started):
                whole.append(ImageCheck(digest, self._clock(), SCRUB, 0, ""))
        expected = self._store.expected()
        for first in range(0, len(whole), _WRITTEN_AT_ONCE):
            self._write(partial(self._checks.record, whole[first : first + _WRITTEN_AT_ONCE]))
        self._write(lambda: self._checks.keep(expected))
        scrub = scrub._replace(ended=self._clock(), damages=self._count(lacking))
        self._record(scrub)
        self._found, self._aside = {}, set()
        log.info("scrub ended", chunks=scrub.chunks, bytes=scrub.size, damages=scrub.damages)

    def _say_missing(
        self, digest: str, missing: Collection[Damage], known: ImageCheck | None
    ) -> None:
        """Say once what an image lacks; ``known`` is what it was like since the scrub began."""
        if known is not None and not known.damages:  # what was found before is back
            self._found.pop(digest, None)
        said = {each.chunk for each in self._found.get(digest, ())}
        news = [each for each in missing if each.chunk not in said]
        chunks = {each.chunk for each in missing}
        if not news or digest not in self._store.expected():
            return
        is_own = known is not None and known.actor == SCRUB
        if known is None or known.damages < len(chunks) or (is_own and digest in self._found):
            self._damaged(news)

    def _count(self, lacking: Mapping[str, set[str]]) -> int:
        """Return how many chunks are damaged, whoever found them: those that ``status`` counts.

        Some may be back, and not verified. What others found is said here.
        """
        damaged = {each for each in self._aside if not self._store.has(each)}
        unnamed = 0
        for check in self._checks.damaged():
            found: Collection[Damage] = ()
            if check.actor == SCRUB:
                found = self._found.get(check.digest, ())
            else:
                _log_damaged(check.digest, check.detail)
            chunks = lacking.get(check.digest, set()) | {each.chunk for each in found}
            damaged |= {chunk or check.digest for chunk in chunks}
            unnamed += max(0, check.damages - len(chunks))
        return len(damaged) + unnamed

    def _was_there(self, digest: str, since: datetime) -> bool:
        """Return whether an image was there when the scrub began, with all its chunks."""
        try:
            return datetime.fromisoformat(self._store.record(digest).created) <= since
        except (UnknownImageError, DamagedRecordError):  # that was meanwhile
            return False

    def _damaged(self, damages: Iterable[Damage]) -> None:
        """Take images out of use, and write down why."""
        news = tuple(damages)
        of_images: dict[str, list[Damage]] = {}
        for each in news:
            of_images.setdefault(each.image, [*self._found.get(each.image, ())]).append(each)
        found = [each for of_image in of_images.values() for each in of_image]
        now = self._clock()
        unwritten = take_out_of_use(self._store, found, time_text(now))
        if unwritten:
            log.warning("damage not written down", code=DAMAGED_IMAGE, cause=unwritten)
        self._write(lambda: self._checks.record_damages(found, news, SCRUB, now))
        # Only now: what was set aside and could not be written down is found missing at the end.
        self._found |= of_images
        for image, of_image in of_images.items():
            _log_damaged(image, of_image[0].line)

    def _record(self, scrub: ImageScrub) -> None:
        self._write(lambda: self._scrubs.record(scrub))

    def _write(self, call: Callable[[], T]) -> T:
        """Write to the database where the server does, whose writes would meet a lock else."""

        async def write() -> T:
            return call()

        if self._loop.is_closed():
            raise StoppedError
        return asyncio.run_coroutine_threadsafe(write(), self._loop).result()

    def _keep_pace(self, size: int) -> None:
        settings = self._settings()
        if not settings.enabled:
            raise StoppedError
        self._pace.took(size, settings.bytes_per_second)


def _log_damaged(image: str, line: str) -> None:
    log.error("image damaged", code=DAMAGED_IMAGE, image=image, damage=line)
