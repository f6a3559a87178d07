"""What all routes for agents have in common: bodies within limits, answers, coded refusals."""

from collections.abc import Callable
from json import dumps
from typing import TypeVar

from aiohttp import web

from agent.wire.codec import WireError, encode
from reconciler.server.connection_limits import BodyTooLargeError, decode_body, read_body

T = TypeVar("T")
MAX_BODY = 4 * 1024 * 1024


async def body_of(request: web.Request, kind: type[T], limit: int = MAX_BODY) -> T:
    """Return the message in a request's body; refused with RW530 where it holds none."""
    try:
        return await decode_body(kind, await bounded_body(request, limit))
    except WireError as error:
        raise refusal(web.HTTPBadRequest, "RW530", str(error)) from error


async def bounded_body(request: web.Request, limit: int) -> bytes:
    """Return a request's body; refused with RW535 where it is too large."""
    try:
        return await read_body(request, limit)
    except BodyTooLargeError as error:
        raise refusal(web.HTTPRequestEntityTooLarge, "RW535", str(error)) from error


def answer(message: object) -> web.Response:
    """Return a message as the answer."""
    return web.Response(body=encode(message), content_type="application/json")


def refusal(
    kind: Callable[..., web.HTTPException],
    code: str,
    cause: str,
    action: str = "See `rackwright status` on the server",
) -> web.HTTPException:
    """Return what refuses a request, with a code, a cause and an action as JSON."""
    text = dumps({"code": code, "cause": cause, "action": action})
    if kind is web.HTTPRequestEntityTooLarge:
        return kind(max_size=0, actual_size=0, text=text, content_type="application/json")
    return kind(text=text, content_type="application/json")
