"""``POST /v1/inventory``: taking in what is installed on machines.

Unpacking, checking and digests are done beside the event loop; the database is written in it, in
short transactions. What one machine can make the server keep is bounded: entries and texts by
``agent.wire.inventory``, and what no machine had before by ``MOST_NEW`` an hour.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from json import dumps
from typing import NamedTuple

import structlog
from aiohttp import web

from agent.wire.codec import WireError, encode
from agent.wire.inventory import (
    MOST_PACKED,
    InventoryAnswer,
    InventoryReport,
    inventory_digest,
    unpack,
)
from agent.wire.inventory_changes import digests_after, is_digest, sections_after
from reconciler.errors import ReconcilerError, StateError
from reconciler.server.connection_limits import BodyTooLargeError, read_body
from reconciler.state.inventories import ITEMS_AT_ONCE, Inventories, Sections
from reconciler.trust.identity import AgentIdentity
from specs.fleet import CompiledMachine

PRUNE_INTERVAL = 3600.0
"""Seconds."""
MOST_NEW = 16 << 20
"""Characters of packages that no machine had before which one machine may bring within an hour."""
_HOUR = timedelta(hours=1)
_ASK_FOR_ALL = ""

log = structlog.get_logger(__name__)


class _Brought(NamedTuple):
    """How much that is new a machine has brought, and since when that is counted."""

    since: datetime
    size: int


class InventoryKeeper:
    """The inventories, as the server takes them in and removes what no machine has any more."""

    def __init__(self, inventories: Inventories, clock: Callable[[], datetime]) -> None:
        self._inventories = inventories
        self._clock = clock
        self._lock = asyncio.Lock()
        """Nothing is removed while something is recorded."""
        self._brought: dict[str, _Brought] = {}
        """By hardware."""

    async def take(self, machine: CompiledMachine, body: bytes) -> str:
        """Keep a message; return the digest of what is kept then, empty to be sent all of it.

        ReconcilerError: RW250 for what is no valid message, RW251 where it has too much that is
        new. StateError where the database cannot be written now.
        """
        hardware = machine.hardware_identity
        try:
            report = await asyncio.to_thread(unpack, body)
            _check_digests(report)
        except WireError as error:
            raise _invalid(error) from error
        async with self._lock:
            before = self._inventories.digests(hardware)
            known = inventory_digest(before) if before else _ASK_FOR_ALL
            if report.digest == known:  # it is as it was, or this was sent again
                self._inventories.still_so(machine, self._clock())
                return known
            if report.base not in {_ASK_FOR_ALL, known}:
                return _ASK_FOR_ALL
            digests = digests_after(before if report.base else {}, report.changes)
            try:
                sections = await asyncio.to_thread(self._sections, hardware, report, digests)
            except WireError as error:
                if report.base:
                    log.info(
                        "all of an inventory is asked for", machine=machine.name, why=str(error)
                    )
                    return _ASK_FOR_ALL
                raise _invalid(error) from error
            gone = {name: None for name in before if name not in digests}
            sections = {**gone, **sections}
            await self._add_items(machine, sections)
            self._inventories.record(machine, sections, digests, self._clock())
        return report.digest

    def _sections(
        self, hardware: str, report: InventoryReport, digests: dict[str, str]
    ) -> Sections:
        """Return the sections that change; WireError where they are not what the digests say."""
        if inventory_digest(digests) != report.digest:
            raise WireError("its sections are not those that its digest is of")
        return sections_after(
            report.changes, lambda section: self._inventories.rows(hardware, section)
        )

    async def _add_items(self, machine: CompiledMachine, sections: Sections) -> None:
        new = await asyncio.to_thread(self._inventories.unknown_items, sections)
        size = sum(len(value) for _, row in new for value in row if isinstance(value, str))
        self._count(machine, size)
        for start in range(0, len(new), ITEMS_AT_ONCE):
            self._inventories.add_items(new[start : start + ITEMS_AT_ONCE])
            await asyncio.sleep(0)

    def _count(self, machine: CompiledMachine, size: int) -> None:
        """Count what is new; RW251 where it is too much for this hour."""
        now, hardware = self._clock(), machine.hardware_identity
        since, before = self._brought.get(hardware, _Brought(now, 0))
        if not timedelta() <= now - since < _HOUR:
            since, before = now, 0
        if before + size > MOST_NEW:
            raise ReconcilerError(
                "RW251",
                f"{machine.name} has brought {before + size:,} characters of packages that no "
                f"machine had before, of {MOST_NEW:,} within an hour",
                "Its agent tries again. If this goes on, look at what is installed there",
            )
        if size:
            self._brought[hardware] = _Brought(since, before + size)

    async def prune_for_ever(self) -> None:
        """Remove, every hour, what no machine has any more: a task for a supervisor."""
        while True:
            await asyncio.sleep(PRUNE_INTERVAL)
            await self.prune()

    async def prune(self) -> int:
        """Remove the packages that no machine has any more; return how many there were."""
        async with self._lock:
            unused = await asyncio.to_thread(self._inventories.unused)
            for start in range(0, len(unused), ITEMS_AT_ONCE):
                self._inventories.remove(unused[start : start + ITEMS_AT_ONCE])
                await asyncio.sleep(0)
        return len(unused)


class InventoryApi:
    """The route. ``peer`` returns whose agent of an installed system asks, else it refuses."""

    def __init__(
        self,
        keeper: InventoryKeeper,
        peer: Callable[[web.Request], AgentIdentity],
        machine_of: Callable[[str], CompiledMachine | None],
    ) -> None:
        self._keeper = keeper
        self._peer = peer
        self._machine_of = machine_of

    def routes(self) -> list[web.RouteDef]:
        """Return the route for an aiohttp application."""
        return [web.post("/v1/inventory", self.inventory)]

    async def inventory(self, request: web.Request) -> web.Response:
        """Keep what an agent says is installed; of a machine that is in no document nothing."""
        peer = self._peer(request)
        try:
            body = await read_body(request, MOST_PACKED)
        except BodyTooLargeError as error:
            text = _refusal(ReconcilerError("RW250", f"the inventory has {error}", _REPORT))
            raise web.HTTPRequestEntityTooLarge(
                error.limit, 0, text=text, content_type="application/json"
            ) from error
        machine = self._machine_of(peer.machine)
        if machine is None:
            return web.Response(status=204)
        try:
            digest = await self._keeper.take(machine, body)
        except StateError:
            raise  # the middleware has the agent come again
        except ReconcilerError as error:
            log.warning(
                "inventory not taken", machine=machine.name, code=error.code, cause=error.cause
            )
            kind = web.HTTPTooManyRequests if error.code == "RW251" else web.HTTPBadRequest
            raise kind(text=_refusal(error), content_type="application/json") from error
        return web.Response(body=encode(InventoryAnswer(digest)), content_type="application/json")


_REPORT = "Compare the versions of server and agent; report it if they are equal"


def _check_digests(report: InventoryReport) -> None:
    named = [report.digest, *(each.digest for each in report.changes if each.digest)]
    if not all(map(is_digest, named)) or not (report.base == "" or is_digest(report.base)):
        raise WireError("a digest is none")


def _invalid(error: WireError) -> ReconcilerError:
    return ReconcilerError("RW250", f"the inventory is not valid: {error}", _REPORT)


def _refusal(error: ReconcilerError) -> str:
    return dumps({"code": error.code, "cause": error.cause, "action": error.action})
