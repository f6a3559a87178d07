"""What ``serve`` does with each new revision: go on with it, or hold at the last accepted one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from reconciler.app.project import Project, defective_commit
from reconciler.errors import ReconcilerError, SourceError, StateError
from reconciler.git.commit_policy import Refuse
from reconciler.git.tree import SourceTree
from reconciler.loop.reconcile import SERVER
from specs.fleet import CompiledFleet

if TYPE_CHECKING:
    from reconciler.server.service import Service

SOURCE = "git"
"""The fault's subject while desired state cannot be read."""
LOG_AGAIN = timedelta(hours=1)
LOOK = 1.0
"""Seconds between looks at what a person accepted by hand, while a revision is held back."""

log = structlog.get_logger(__name__)


class GitFollower:
    """Hands a source's acceptable revisions to a server."""

    def __init__(self, project: Project, server: "Service", clock: Callable[[], datetime]) -> None:
        self._project = project
        self._server = server
        self._clock = clock
        self._seeing = asyncio.Lock()
        self._refused: SourceTree | None = None
        self._refused_after = ""
        """The last accepted commit at that time."""
        self._unreadable: tuple[str, datetime] | None = None
        """Why the source cannot be read, and when that was logged."""

    async def follow(self, stop: asyncio.Event) -> None:
        """Follow the source until ``stop`` is set.

        StateError where the state cannot be read or written: whoever supervises this tries
        it again, and the revision that was not taken is then seen again.
        """
        tasks = [
            asyncio.create_task(each) for each in (self._see_each(stop), self._look_again(stop))
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _see_each(self, stop: asyncio.Event) -> None:
        async for source in self._project.watch(stop):
            await self.see(source)

    async def see(self, source: SourceTree | SourceError) -> None:
        """Take a revision, or say why not and stay with the present one."""
        if isinstance(source, SourceError):
            self._note_unreadable(source)
            return
        self._note_readable()
        async with self._seeing:
            await self._judge(source)

    def _note_unreadable(self, error: SourceError) -> None:
        """Log why the source cannot be read: when that is another reason, and once an hour."""
        now = self._clock()
        with suppress(StateError):
            faults = self._server.reconciler.faults
            faults.record(SOURCE, error.code, error.cause, now)
        if self._unreadable is not None:
            cause, logged = self._unreadable
            if cause == error.cause and timedelta() <= now - logged < LOG_AGAIN:
                return
        self._unreadable = error.cause, now
        log.error("source cannot be read", code=error.code, cause=error.cause)

    def _note_readable(self) -> None:
        if self._unreadable is None:
            return
        with suppress(StateError):
            self._server.reconciler.faults.end(SOURCE)
            self._unreadable = None
            log.info("source can be read again")

    async def _judge(self, source: SourceTree) -> None:
        self._refused = None
        if source.revision == self._server.revision:
            return
        refused_after = self._last_commit()
        judged = await self._judged(source)
        if isinstance(judged, ReconcilerError):
            self._refused, self._refused_after = source, refused_after
            log_held(judged, self._server.revision, source.revision)
            return
        fleet, reason = judged
        # Beside the event loop: another process may hold the database for seconds.
        await asyncio.to_thread(
            self._project.take_over, fleet, source.own_commit, SERVER, reason, self._clock()
        )
        await self._server.use(fleet)
        log.info("revision taken", revision=source.revision, reason=reason)

    async def _judged(self, source: SourceTree) -> tuple[CompiledFleet, str] | ReconcilerError:
        """Return a revision's fleet and why it may be acted on, or why it may not be."""
        try:
            fleet, decision = await asyncio.to_thread(self._project.judge, source)
        except StateError:
            raise  # says nothing about the commit
        except ReconcilerError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one commit must not end netboot
            return defective_commit(error)
        return decision.error if isinstance(decision, Refuse) else (fleet, decision.reason)

    async def _look_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self._refused is not None and self._last_commit() != self._refused_after:
                await self.see(self._refused)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK)

    def _last_commit(self) -> str:
        last = self._project.revision_policy.last
        return "" if last is None else last.commit


def log_held(error: ReconcilerError, held: str, refused: str = "") -> None:
    """Say why another revision than the newest is acted on."""
    log.error(
        "revision not taken",
        revision=refused or None,
        code=error.code,
        cause=error.cause,
        action=error.action,
        held_at=held,
    )
