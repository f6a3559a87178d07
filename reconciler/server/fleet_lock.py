"""The FleetLock protocol over HTTP: machines that update themselves ask before they restart.

Protocol: ``docs/development/fleetlock/protocol.md`` of github.com/coreos/zincati. A client sends
``{"client_params": {"id": ..., "group": ...}}`` with the header ``fleet-lock-protocol: true`` to
``/v1/pre-reboot`` to take the lock, and to ``/v1/steady-state`` to give it back. 200 is yes;
everything else is no, with ``{"kind": ..., "value": ...}``.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import NamedTuple

import structlog
from aiohttp import web

from agent.plain_text import plain_text
from reconciler.errors import StateError
from reconciler.loop.reboot_locks import FOR_GOOD, Clients, RebootLocker, clients_of
from reconciler.server.connection_limits import BodyTooLargeError, read_body
from reconciler.state.reported_identities import ReportedIdentities

HEADER = "fleet-lock-protocol"
_MOST_BODY = 4096
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_GROUP = re.compile(r"[a-zA-Z0-9.-]{1,253}")
"""The protocol's expression, and the longest path of a group."""
_FRESH_SECONDS = 30.0
"""Machine-ids are read again no sooner for an id that is not known."""
_OLD_SECONDS = 600.0
"""And no later for one that is."""

log = structlog.get_logger(__name__)


class LockRequest(NamedTuple):
    """Who asks."""

    client: str
    group: str


class MalformedRequestError(ValueError):
    """A request that the protocol does not have; the text says why."""


def parse_request(header: str | None, body: bytes) -> LockRequest:
    """Return who asks; MalformedRequestError where the request is not of the protocol. Pure."""
    if header != "true":
        raise MalformedRequestError(f"the header {HEADER} is not 'true'")
    try:
        parameters = json.loads(body)["client_params"]
        client, group = parameters["id"], parameters["group"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedRequestError("the body has no client_params with id and group") from error
    if not isinstance(client, str) or not _ID.fullmatch(client):
        raise MalformedRequestError("the id is no text of 1 to 128 letters, digits, . _ : and -")
    if not isinstance(group, str) or not _GROUP.fullmatch(group):
        raise MalformedRequestError("the group is no text of 1 to 253 letters, digits, . and -")
    return LockRequest(client, group)


class FleetLockApi:
    """The two routes of the protocol, for any number of applications."""

    def __init__(
        self, locker: RebootLocker, reported: ReportedIdentities, steady: Callable[[], float]
    ) -> None:
        """``steady`` returns seconds that never go back."""
        self._locker = locker
        self._reported = reported
        self._steady = steady
        self._clients: Clients = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    def routes(self, is_served: Callable[[], bool]) -> list[web.RouteDef]:
        """Return the routes; they answer while ``is_served`` says so."""

        async def pre_reboot(request: web.Request) -> web.Response:
            return await self._answer(request, self._lock, is_served)

        async def steady_state(request: web.Request) -> web.Response:
            return await self._answer(request, self._unlock, is_served)

        return [
            web.post("/v1/pre-reboot", pre_reboot),
            web.post("/v1/steady-state", steady_state),
        ]

    async def _answer(
        self,
        request: web.Request,
        act: Callable[[LockRequest, tuple[str, ...], str], web.Response],
        is_served: Callable[[], bool],
    ) -> web.Response:
        if not is_served():
            return _no(404, "failed_not_enabled", "there is no reboot lock here (spec.rebootLock)")
        try:
            body = await read_body(request, _MOST_BODY)
            wanted = parse_request(request.headers.get(HEADER), body)
        except BodyTooLargeError as error:
            return _no(413, "malformed_request", str(error))
        except MalformedRequestError as error:
            return _no(400, "malformed_request", str(error))
        try:
            return act(wanted, await self._identities(wanted.client), request.remote or "")
        except StateError as error:
            log.warning("reboot lock not kept", code=error.code, cause=error.cause)
            return _no(503, "failed_state", f"{error.code}: try again later")

    def _lock(self, wanted: LockRequest, identities: tuple[str, ...], address: str) -> web.Response:
        refusal = self._locker.lock(wanted.client, wanted.group, identities, address)
        if refusal is None:
            return web.json_response({})
        return _no(403 if refusal.kind in FOR_GOOD else 409, *refusal)

    def _unlock(
        self, wanted: LockRequest, identities: tuple[str, ...], address: str
    ) -> web.Response:
        del address
        self._locker.unlock(wanted.client, identities)
        return web.json_response({})

    async def _identities(self, client: str) -> tuple[str, ...]:
        """Return what a client's hardware is known by; empty where nobody knows.

        Whoever asks with ids of no machine has the machine-ids read twice a minute, not more.
        """
        async with self._reading:
            age = self._steady() - self._read_at
            if age > (_OLD_SECONDS if client in self._clients else _FRESH_SECONDS):
                self._clients = await asyncio.to_thread(
                    lambda: clients_of(self._reported.machine_ids())
                )
                self._read_at = self._steady()
        return self._clients.get(client, ())


def _no(status: int, kind: str, value: str) -> web.Response:
    return web.json_response({"kind": kind, "value": plain_text(value)}, status=status)
