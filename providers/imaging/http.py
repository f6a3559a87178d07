"""The store over HTTP, for agents.

``POST /v1/chunks/missing``, ``PUT`` and ``GET /v1/chunks/{digest}``,
``GET /v1/manifests/{digest}``. What a request may do is the caller's business
(``authorise``); no image is named or stored here, only chunks. File and CPU work
runs in threads.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from agent.errors import CodedError
from agent.imaging.chunk import MAX_FRAME_SIZE
from agent.imaging.errors import CorruptChunkError
from providers.descriptors import wait_until_openable
from providers.imaging.errors import (
    BadDigestError,
    IncompleteImageError,
    NoSpaceError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.store import ChunkStore
from providers.imaging.verification import mark_damaged

MAX_DIGESTS = 4096
"""Digests per question."""

_MAX_QUESTION = MAX_DIGESTS * 70 + 1000  # bytes of JSON: a digest takes 67

Authorise = Callable[[web.Request, str], None]
"""``authorise(request, purpose)`` with ``read`` or ``write``; raises web.HTTPForbidden."""
Stored = Callable[[web.Request, NoSpaceError | None], None]
"""``stored(request, error)`` hears of each chunk that was written (None), or why it was not."""


def routes(store: ChunkStore, authorise: Authorise, stored: Stored) -> list[web.RouteDef]:
    """Return the routes that serve ``store``."""
    handlers = _Handlers(store, authorise, stored)
    return [
        web.post("/v1/chunks/missing", handlers.missing),
        web.put("/v1/chunks/{digest}", handlers.put_chunk),
        web.get("/v1/chunks/{digest}", handlers.get_chunk),
        web.get("/v1/manifests/{digest}", handlers.get_manifest),
    ]


class _Handlers:
    def __init__(self, store: ChunkStore, authorise: Authorise, stored: Stored) -> None:
        self._store = store
        self._authorise = authorise
        self._stored = stored

    async def missing(self, request: web.Request) -> web.StreamResponse:
        """Say which of the asked digests the store lacks, in the order they were asked."""
        self._authorise(request, "write")
        digests = _digests(await _body(request, _MAX_QUESTION))
        try:
            lacking = await asyncio.to_thread(self._store.missing, digests)
        except BadDigestError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, error)
        ordered = [digest for digest in dict.fromkeys(digests) if digest in lacking]
        return web.json_response({"missing": ordered})

    async def put_chunk(self, request: web.Request) -> web.StreamResponse:
        """Store one frame: 201 when it is new, 200 when it was there, 507 where there is no room.

        Who is told of no room may come again.
        """
        self._authorise(request, "write")
        digest = request.match_info["digest"]
        try:
            known = not await asyncio.to_thread(self._store.missing, [digest])
            frame = await _body(request, MAX_FRAME_SIZE)
            if known:
                return web.Response(status=HTTPStatus.OK)
            await asyncio.to_thread(self._store.put, digest, frame)
        except BadDigestError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, error)
        except CorruptChunkError as error:
            return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, error)
        except NoSpaceError as error:
            self._stored(request, error)
            return _refusal(HTTPStatus.INSUFFICIENT_STORAGE, error)
        self._stored(request, None)
        return web.Response(status=HTTPStatus.CREATED)

    async def get_chunk(self, request: web.Request) -> web.StreamResponse:
        """Send one frame."""
        self._authorise(request, "read")
        digest = request.match_info["digest"]
        return await _send(
            partial(self._store.path, digest), UnknownChunkError(digest), "application/zstd"
        )

    async def get_manifest(self, request: web.Request) -> web.StreamResponse:
        """Send the encoded manifest whose digest this is, 422 where a chunk of it is gone.

        A restore asks for it before it writes anything.
        """
        self._authorise(request, "read")
        digest = request.match_info["digest"]
        try:
            await asyncio.to_thread(self._store.require_chunks, digest)
        except BadDigestError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, error)
        except UnknownImageError as error:
            return _refusal(HTTPStatus.NOT_FOUND, error)
        except IncompleteImageError as error:
            await asyncio.to_thread(mark_damaged, self._store, error.missing)
            return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, error)
        return await _send(
            partial(self._store.manifest_path, digest),
            UnknownImageError(digest),
            "application/json",
        )


async def _send(
    locate: Callable[[], Path], unknown: CodedError, content_type: str
) -> web.StreamResponse:
    """Send a file of the store, which never changes once it is there."""
    try:
        path = locate()
    except BadDigestError as error:
        return _refusal(HTTPStatus.BAD_REQUEST, error)
    if not await asyncio.to_thread(path.is_file):
        return _refusal(HTTPStatus.NOT_FOUND, unknown)
    await wait_until_openable(path)
    return web.FileResponse(path, headers={"Content-Type": content_type})


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


def _refusal(status: HTTPStatus, error: CodedError) -> web.Response:
    return web.json_response(
        {"code": error.code, "cause": error.cause, "action": error.action}, status=status
    )
