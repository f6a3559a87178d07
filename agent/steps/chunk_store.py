"""Chunks and manifests on the server, as the imaging code's sink and source."""

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from attrs import frozen

from agent.clock import Clock
from agent.errors import NotAcceptedError, TerminalError, TimeLimitError, TransientError
from agent.retry import RetryPolicy, retry
from agent.transport import Transport

T = TypeVar("T")

_BINARY = "application/octet-stream"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAMAGED = (404, 422)  # it was set aside, or is now
# However long: a half-written disk is of no use, and the server says when to stop.
_RETRY = RetryPolicy(first=1.0, cap=30.0)


@frozen
class ChunkStore:
    """Frames by their digest, over HTTPS; safe to share by threads.

    It has the methods of the imaging code's ``ChunkSink`` (``missing``, ``put``) and
    ``ChunkSource`` (``get``). Every method waits for a server that is away, or that has no
    room, however long, and before each request calls ``check``, which raises when the operation
    has to stop. Raises what ``Transport.send`` raises.
    """

    transport: Transport
    clock: Clock
    check: Callable[[], None]

    def missing(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of ``digests`` that the server does not have yet."""
        body = json.dumps({"digests": list(digests)}).encode()
        answer = self._send("POST", "/v1/chunks/missing", body)
        names = _field(answer, "missing", list)
        return frozenset(str(name) for name in names) & frozenset(digests)

    def put(self, digest: str, frame: bytes) -> None:
        """Store one frame."""
        self._send("PUT", f"/v1/chunks/{_checked(digest)}", frame, _BINARY)

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        """Return one frame. Its content is for the caller to compare with the digest.

        With ``checked`` the server does that, too: CorruptChunkError where it has another or,
        since somebody found that, none.
        """
        path = f"/v1/chunks/{_checked(digest)}"
        if not checked:
            return self._send("GET", path)
        try:
            return self._send("GET", f"{path}?checked=1")
        except NotAcceptedError as error:
            if error.status not in _DAMAGED:
                raise
            # Code that only the RAM system has.
            from agent.imaging.errors import CorruptChunkError  # noqa: PLC0415

            raise CorruptChunkError(digest, error.cause) from error

    def put_manifest(self, operation: str, image: str, manifest: bytes) -> str:
        """Store the image that a backup step makes; return the digest the server has it under."""
        path = f"/v1/operations/{operation}/manifest?image={quote(image, safe='')}"
        answer = self._send("PUT", path, manifest)
        return str(_field(answer, "digest", str))

    def get_manifest(self, digest: str) -> bytes:
        """Return an encoded manifest, not yet checked against its digest."""
        return self._send("GET", f"/v1/manifests/{_checked(digest)}")

    def _send(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> bytes:
        waits_for: TransientError | None = None

        def once() -> bytes:
            nonlocal waits_for
            try:
                self.check()
            except TimeLimitError as limit:
                raise limit if waits_for is None else limit.while_waiting(waits_for) from None
            try:
                return self.transport.send(method, path, body, content_type=kind)
            except TransientError as error:
                waits_for = error
                raise

        return retry(once, _RETRY, self.clock)


def _checked(digest: str) -> str:
    """Return the digest if it is one: it becomes part of a path."""
    if not _DIGEST.fullmatch(digest):
        raise TerminalError(
            "RW455", f"{digest[:80]!r} is not a chunk's digest", "The manifest is damaged"
        )
    return digest


def _field(body: bytes, name: str, kind: type[T]) -> T:
    try:
        value = json.loads(body)[name]
    except (ValueError, KeyError, TypeError) as error:
        raise _bad_answer(name) from error
    if not isinstance(value, kind):
        raise _bad_answer(name)
    return value


def _bad_answer(name: str) -> TerminalError:
    return TerminalError(
        "RW559",
        f"the server's answer has no usable field {name!r}",
        "Compare the versions of server and agent",
    )
