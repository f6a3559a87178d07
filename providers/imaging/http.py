"""The store over HTTP, for agents.

``POST /v1/chunks/missing``, ``PUT`` and ``GET /v1/chunks/{digest}``,
``GET /v1/manifests/{digest}``. What a request may do is the caller's business
(``authorise``); no image is named or stored here, only chunks. File and CPU work
runs in threads.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import TypeVar

import structlog
from aiohttp import web

from agent.errors import CodedError, UnwritableFileError
from agent.imaging.chunk import MAX_FRAME_SIZE
from agent.imaging.errors import CorruptChunkError, ManifestError
from providers.imaging.errors import (
    BadDigestError,
    IncompleteImageError,
    NoSpaceError,
    SignatureError,
    StoreAwayError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.store import ChunkStore
from providers.imaging.stored_chunks import MEDIUM
from providers.imaging.verification import Damage, mark_damaged
from providers.own_thread import in_own_thread

MAX_DIGESTS = 4096
"""Digests per question."""

_MAX_QUESTION = MAX_DIGESTS * 70 + 1000  # bytes of JSON: a digest takes 67

_STATUS: dict[type, HTTPStatus] = {
    BadDigestError: HTTPStatus.BAD_REQUEST,
    UnknownChunkError: HTTPStatus.NOT_FOUND,
    UnknownImageError: HTTPStatus.NOT_FOUND,
    CorruptChunkError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IncompleteImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    SignatureError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ManifestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoSpaceError: HTTPStatus.INSUFFICIENT_STORAGE,
    StoreAwayError: HTTPStatus.SERVICE_UNAVAILABLE,
}
T = TypeVar("T")
log = structlog.get_logger(__name__)

Authorise = Callable[[web.Request, str], None]
"""``authorise(request, purpose)`` with ``read`` or ``write``; raises web.HTTPForbidden."""
Served = Callable[[web.Request, NoSpaceError | StoreAwayError | None], None]
"""``served(request, error)`` hears of each chunk that went in or out (None), or why it did not."""

Permit = Callable[[str], None]
"""``permit(digest)`` before a manifest is read, in a thread; SignatureError for a refusal."""

Damaged = Callable[[web.Request, Sequence[Damage]], None]
"""``damaged(request, damages)`` hears of what was found and taken out of use, if anything was."""


async def in_store(store: ChunkStore, call: Callable[[], T]) -> T:
    """Return what a call to the store returns, beside the event loop: its disk may hang.

    Raises StoreAwayError where the store is not there, or its disk or file server fails.
    """
    if store.problem is not None:
        raise store.problem
    try:
        return await in_own_thread(call, "image store")
    except UnwritableFileError as error:
        raise StoreAwayError(store.root, error.cause) from error
    except OSError as error:
        raise StoreAwayError(store.root, error.strerror or str(error)) from error


def _any(digest: str) -> None:
    """Permit each image."""


def _nobody(_request: web.Request, _damages: Sequence[Damage]) -> None:
    """Tell nobody."""


def routes(
    store: ChunkStore,
    authorise: Authorise,
    served: Served,
    permit: Permit = _any,
    damaged: Damaged = _nobody,
) -> list[web.RouteDef]:
    """Return the routes that serve ``store``."""
    handlers = _Handlers(store, authorise, served, permit, damaged)
    return [
        web.post("/v1/chunks/missing", handlers.missing),
        web.put("/v1/chunks/{digest}", handlers.put_chunk),
        web.get("/v1/chunks/{digest}", handlers.get_chunk),
        web.get("/v1/manifests/{digest}", handlers.get_manifest),
    ]


class _Handlers:
    def __init__(
        self,
        store: ChunkStore,
        authorise: Authorise,
        served: Served,
        permit: Permit,
        damaged: Damaged,
    ) -> None:
        self._store = store
        self._authorise = authorise
        self._served = served
        self._permit = permit
        self._damaged = damaged

    async def missing(self, request: web.Request) -> web.StreamResponse:
        """Say which of the asked digests the store lacks, in the order they were asked."""
        self._authorise(request, "write")
        digests = _digests(await _body(request, _MAX_QUESTION))
        try:
            lacking = await in_store(self._store, partial(self._store.missing, digests))
        except CodedError as error:
            return self._refusal(request, error)
        ordered = [digest for digest in dict.fromkeys(digests) if digest in lacking]
        return web.json_response({"missing": ordered})

    async def put_chunk(self, request: web.Request) -> web.StreamResponse:
        """Store one frame: 201 when it is new, 200 when it was there, 507 where there is no room.

        Who is told of no room, or that the store is away (503), may come again.
        """
        self._authorise(request, "write")
        digest = request.match_info["digest"]
        try:
            known = not await in_store(self._store, partial(self._store.missing, [digest]))
            frame = await _body(request, MAX_FRAME_SIZE)
            if known:
                return web.Response(status=HTTPStatus.OK)
            await in_store(self._store, partial(self._store.put, digest, frame))
        except CodedError as error:
            return self._refusal(request, error)
        self._served(request, None)
        return web.Response(status=HTTPStatus.CREATED)

    async def get_chunk(self, request: web.Request) -> web.StreamResponse:
        """Send one frame, with ``checked`` in the query only if it is the chunk of this digest.

        422 where it is not, or cannot be read: its images are restored no more from then on. An
        agent asks so that was sent another one. The others are not looked at: agents do that.
        """
        self._authorise(request, "read")
        digest = request.match_info["digest"]

        def get() -> bytes:
            try:
                return self._store.get(digest, checked="checked" in request.query)
            except OSError as error:
                if error.errno not in MEDIUM:
                    raise
                problem = f"it cannot be read: {error.strerror}"
                raise CorruptChunkError(digest, problem) from error

        return await self._send(request, get, "application/zstd")

    async def get_manifest(self, request: web.Request) -> web.StreamResponse:
        """Send the encoded manifest whose digest this is.

        422 where a chunk of it is gone, or for want of a good signature.
        A restore asks for it before it writes anything.
        """
        self._authorise(request, "read")
        digest = request.match_info["digest"]

        def get() -> bytes:
            self._permit(digest)
            self._store.require_chunks(digest)
            return self._store.get_manifest(digest)

        return await self._send(request, get, "application/json")

    async def _send(
        self, request: web.Request, get: Callable[[], bytes], content_type: str
    ) -> web.StreamResponse:
        try:
            body = await in_store(self._store, get)
        except CodedError as error:
            with suppress(StoreAwayError):  # nothing is known of it then
                await self._take_out_of_use(request, error)
            return self._refusal(request, error)
        self._served(request, None)
        # What is larger than a frame goes out in pieces, so that others have their turn.
        pieces = body if len(body) <= MAX_FRAME_SIZE else BytesIO(body)
        return web.Response(body=pieces, content_type=content_type)

    async def _take_out_of_use(self, request: web.Request, error: CodedError) -> None:
        """Have images restored no more that need what an agent found damaged."""
        if isinstance(error, CorruptChunkError | UnknownChunkError):
            chunks: Sequence[str] = (error.digest,)
        elif isinstance(error, IncompleteImageError):
            chunks = error.missing
        else:
            return
        mark = partial(mark_damaged, self._store, chunks)
        damages, unwritten = await in_store(self._store, mark)
        if unwritten:
            log.warning("damage not written down", cause=unwritten)
        if damages:
            self._damaged(request, damages)

    def _refusal(self, request: web.Request, error: CodedError) -> web.Response:
        if isinstance(error, NoSpaceError | StoreAwayError):
            self._served(request, error)
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
        if status is None:
            raise error
        body = {"code": error.code, "cause": error.cause, "action": error.action}
        headers = {"Retry-After": "5"} if isinstance(error, StoreAwayError) else None
        return web.json_response(body, status=status, headers=headers)


async def _body(request: web.Request, limit: int) -> bytes:
    """Return the body; 413 as soon as it is known to be longer than ``limit``."""
    announced = request.content_length or 0
    if announced > limit:
        raise web.HTTPRequestEntityTooLarge(limit, announced)
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(body))
    return bytes(body)


def _digests(body: bytes) -> list[str]:
    """Return the digests of the question, or answer 400."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text="the body is no JSON") from error
    digests = document.get("digests") if isinstance(document, dict) else None
    if not isinstance(digests, list) or not all(isinstance(item, str) for item in digests):
        raise web.HTTPBadRequest(text='the body has no list of texts "digests"')
    if len(digests) > MAX_DIGESTS:
        raise web.HTTPBadRequest(text=f"{len(digests)} digests, at most {MAX_DIGESTS} are allowed")
    return digests
