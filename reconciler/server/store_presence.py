"""Whether the image store is there: looked at every few seconds, beside the event loop.

Its folder may be on a file server. While it is away nothing is read from it or written to it, work
that needs images waits, and all else goes on. A look that hangs is not repeated before it ends.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import structlog

from providers.imaging.errors import StoreAwayError
from providers.imaging.store import ChunkStore
from providers.imaging.store_identity import ANSWER_SECONDS, NO_ANSWER
from providers.own_thread import in_own_thread
from reconciler.errors import StateError
from reconciler.state.faults import STORE_FAULT, Faults
from reconciler.state.image_store import ImageStores, PresentStore, present_store

LOOK = 5.0
"""Seconds between two looks."""
READ_ONLY = "it is read-only: captures wait"

log = structlog.get_logger(__name__)


class StorePresence:
    """Keeps ``store.problem``; ``run`` is a task for a Supervisor."""

    def __init__(
        self,
        store: ChunkStore,
        stores: ImageStores,
        faults: Callable[[], Faults],
        clock: Callable[[], datetime],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._store = store
        self._stores = stores
        self._faults = faults
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._look: asyncio.Task[PresentStore] | None = None
        self.is_read_only = False
        """Whether it can be read alone: captures wait."""
        self._said: tuple[str, str] | None = None
        """Code and cause of the fault that was recorded."""

    @property
    def is_there(self) -> bool:
        """Return whether it was there when it was last looked at."""
        return self._store.problem is None

    async def run(self, came_back: Callable[[], None]) -> None:
        """Look until cancelled; ``came_back`` hears of it when the store is there again."""
        while True:
            before = self.is_there, self.is_read_only
            await self.look()
            if self.is_there and before != (True, self.is_read_only):
                came_back()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Look once, and note what is wrong."""
        try:
            present = await self._answer()
        except StoreAwayError as error:
            self._is_away(error)
        except TimeoutError:
            self._is_away(StoreAwayError(self._store.root, NO_ANSWER.format(self._answer_seconds)))
        except StateError as error:  # nothing is known of it: the next look goes on
            log.debug("image store not looked at", code=error.code, cause=error.cause)
        else:
            self._store.identity = present.identity
            self._store.problem = None
            self.is_read_only = present.is_read_only
            if present.is_read_only:
                self._note(StoreAwayError(self._store.root, READ_ONLY))
            else:
                self._end()

    def _is_away(self, error: StoreAwayError) -> None:
        self._store.problem = error
        self._note(error)

    async def _answer(self) -> PresentStore:
        """Return what a look finds; one that hung before has a moment more."""
        if self._look is None:
            root, at = self._store.root, self._clock()
            look = in_own_thread(
                lambda: present_store(root, self._stores, at), "look at the image store"
            )
            self._look = asyncio.create_task(look)
        try:
            return await asyncio.wait_for(asyncio.shield(self._look), self._answer_seconds)
        finally:
            if self._look.done():
                self._look = None

    def _note(self, error: StoreAwayError) -> None:
        code, cause = error.code, error.cause
        if self._said == (code, cause):
            return
        log.error("image store", code=code, cause=cause)
        with suppress(StateError):  # the next look notes it
            self._faults().record(STORE_FAULT, code, cause, self._clock())
            self._said = code, cause

    def _end(self) -> None:
        if self._said is not None:
            log.info("image store is there")
            with suppress(StateError):
                self._faults().end(STORE_FAULT)
                self._said = None
