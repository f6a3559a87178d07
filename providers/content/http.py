"""The content store over HTTP, for agents: ``GET`` and ``HEAD /v1/content/{sha256}``.

With Range (RFC 9110, section 14.2), so that a transfer that broke off goes on. Who may fetch is
the caller's business (``authorise``).
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from agent.errors import CodedError
from providers.content.errors import BadChecksumError, UnknownContentError
from providers.content.store import ContentStore
from providers.descriptors import wait_until_openable

Authorise = Callable[[web.Request, str], None]
"""``authorise(request, sha256)``; raises web.HTTPForbidden."""


def routes(store: ContentStore, authorise: Authorise) -> list[web.RouteDef]:
    """Return the route that serves ``store``; a GET route answers HEAD, too."""

    async def get_content(request: web.Request) -> web.StreamResponse:
        sha256 = request.match_info["sha256"]
        authorise(request, sha256)
        try:
            path = store.path(sha256)
        except BadChecksumError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, error)
        if not await asyncio.to_thread(path.is_file):
            return _refusal(HTTPStatus.NOT_FOUND, UnknownContentError(sha256))
        await wait_until_openable(path)
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    return [web.get("/v1/content/{sha256}", get_content)]


def _refusal(status: HTTPStatus, error: CodedError) -> web.Response:
    return web.json_response(
        {"code": error.code, "cause": error.cause, "action": error.action}, status=status
    )
