"""What strangers may cost: connections, time, bytes and descriptors, bounded per source and in all.

aiohttp bounds idle connections alone. ``ConnectionLimits`` accepts in its stead: it counts
from the first packet (a TLS handshake counts too), pauses while descriptors are short, and
ends connections whose request does not arrive. Per connection::

    head --request head complete--> request --answer sent--> idle --next byte--> head

A connection may stay in ``head`` for ``head_seconds``; in ``request`` the body has to arrive
at ``body_bytes`` per ``body_seconds`` at least; ``idle`` is ended by aiohttp.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from asyncio import sslproto
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypedDict, TypeVar, cast

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from aiohttp.typedefs import Handler

from agent.errors import one_line
from agent.wire.codec import decode
from providers.netboot.log_rate import LogRate

UNAUTHENTICATED_BODY = 64 * 1024
"""Bytes that a route takes from anyone: an enrollment has 3 KiB."""
_PARSED_AT_ONCE = 64 * 1024
"""Longer bodies are parsed in a thread."""
_RESERVE = 256
"""Descriptors for the database, files, TFTP and children."""
_BACKLOG = 1024
_TLS_BUFFER = 32 * 1024
"""Bytes that a TLS connection reads at once, two records (RFC 8446, section 5.1)."""
sslproto.SSLProtocol.max_size = _TLS_BUFFER
"""asyncio fills a buffer of this size for each connection, 256 KiB where nobody says otherwise:
ten GiB for 40,000 agents that wait for work."""
_ACCEPT_PAUSE = 1.0
_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_CLIENT_GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

T = TypeVar("T")
log = structlog.get_logger(__name__)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; return it. Call it at the start.

    Shells and systemd give a soft limit of 1,024 for programs that use select(2), which
    this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("limit of open files not raised", limit=soft, reason=str(error))
            return soft
    return hard


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, and how slow."""

    connections: int
    per_source: int
    """From one IPv4 address: a machine has few, a host of simulated machines many."""
    head_seconds: float = 30.0
    body_seconds: float = 30.0
    body_bytes: int = 16 * 1024
    handshake_seconds: float = 15.0

    @classmethod
    def for_descriptors(cls, descriptors: int) -> "Limits":
        """Return limits that leave enough of ``descriptors`` for everything else.

        A connection needs one for itself and, while it downloads, one for the file.
        """
        connections = max((descriptors - _RESERVE) // 2, 16)
        return cls(connections=connections, per_source=max(min(512, connections // 4), 8))


Phase = Literal["head", "request", "idle"]


class _Connection(asyncio.Protocol):
    """Stands before aiohttp's protocol and knows how far the request has come."""

    def __init__(self, inner: asyncio.Protocol, source: str, limits: "ConnectionLimits") -> None:
        self.source = source
        self.phase: Phase = "head"
        self.since = limits.clock()
        self.transport: asyncio.Transport | None = None
        self._inner = inner
        self._limits = limits
        self._body: StreamReader | None = None
        self._received = 0
        self._counted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.forget(self)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.phase == "idle":
            self.phase, self.since = "head", self._limits.clock()
        self._received += len(data)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def begin(self, body: StreamReader) -> None:
        """Note that the head of a request has arrived."""
        self.phase, self.since = "request", self._limits.clock()
        self._body, self._counted = body, self._received

    def finish(self) -> None:
        """Note that the answer is sent."""
        self.phase, self.since, self._body = "idle", self._limits.clock(), None

    def is_too_slow(self, now: float, limits: Limits) -> bool:
        """Return whether the client takes longer for its request than it may."""
        waited = now - self.since
        if self.phase == "head":
            return waited >= limits.head_seconds
        if self.phase == "idle" or self._body is None or waited < limits.body_seconds:
            return False
        arrived, self._counted, self.since = self._received - self._counted, self._received, now
        # While the server itself takes nothing in, the client cannot send.
        is_reading = self.transport is not None and self.transport.is_reading()
        return is_reading and not self._body.is_eof() and arrived < limits.body_bytes

    def end(self, farewell: bytes = b"") -> None:
        """Close the connection now; ``farewell`` goes out if there is room for it.

        One that is closing already is cut off: its client does not take what was sent. asyncio's
        TLS transport may not be closed twice: it then can neither write nor be cut off.
        """
        if self.transport is None:
            return
        if farewell and not self.transport.is_closing():
            with suppress(OSError, RuntimeError):
                self.transport.write(farewell)
            self.transport.close()
        else:
            self.transport.abort()


class RunnerOptions(TypedDict):
    """Keyword arguments of ``aiohttp.web.AppRunner``."""

    keepalive_timeout: float
    logger: logging.Logger
    access_log: logging.Logger
    access_log_class: type[AbstractAccessLogger]
    shutdown_timeout: float


class ConnectionLimits:
    """Accepts connections for any number of ports within one set of limits."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self._sources: Counter[str] = Counter()
        self._open: dict[_Connection, None] = {}
        self._rate = LogRate(clock)
        self._ended = asyncio.Event()

    @property
    def connections(self) -> int:
        """Return how many connections there are, those in their TLS handshake included."""
        return self._sources.total()

    @staticmethod
    def runner_options() -> RunnerOptions:
        """Return what every ``AppRunner`` behind these limits has to be made with."""
        return {
            "keepalive_timeout": 75.0,
            "logger": _http_log,
            "access_log": _http_log,
            "access_log_class": _AnswerSent,
            "shutdown_timeout": 1.0,
        }

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a listening socket for ``accept``. Raises ``OSError``."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        sock.settimeout(0)
        return sock

    async def accept(
        self,
        sock: socket.socket,
        runner: web.AppRunner,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Accept connections on ``sock`` for ``runner``, for ever: a task for a supervisor.

        While the process is short of descriptors nothing is accepted: the kernel keeps
        connections that wait. ``runner`` has been set up. ``tls`` is asked for each connection:
        certificates change.
        """
        loop = asyncio.get_running_loop()
        admissions: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    accepted, (source, *_) = sock.accept()
                except BlockingIOError:
                    await _readable(sock)
                    continue
                except OSError as error:
                    await self._accept_failed(error)
                    continue
                accepted.settimeout(0)
                context = None if tls is None else tls()
                if not self._has_room(source):
                    self._refuse(accepted, source, context)
                    continue
                task = loop.create_task(self._admit(accepted, source, runner, context))
                admissions.add(task)
                task.add_done_callback(admissions.discard)
        finally:
            for task in admissions:
                task.cancel()

    async def sweep(self) -> None:
        """End connections that are too slow, once a second, for ever: a task for a supervisor."""
        while True:
            await asyncio.sleep(1)
            self.end_slow()

    def end_slow(self) -> None:
        """End the connections that are too slow by now."""
        now = self.clock()
        for connection in list(self._open):
            if connection.is_too_slow(now, self.limits):
                log.debug("slow request ended", source=connection.source, phase=connection.phase)
                connection.end(_TOO_SLOW if connection.phase == "head" else b"")

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Follow each request: the first middleware of every application behind these limits."""
        connection = _connection(request)
        if connection is not None:
            connection.begin(request.content)
        return await handler(request)

    def forget(self, connection: _Connection) -> None:
        """Count a connection no more."""
        if connection in self._open:
            del self._open[connection]
            self._release(connection.source)

    def _release(self, source: str) -> None:
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        self._ended.set()

    def _has_room(self, source: str) -> bool:
        if self._sources[source] >= self.limits.per_source:
            return False
        if self.connections < self.limits.connections:
            return True
        # Whoever waits longest without a request makes room.
        waiting = [
            connection
            for connection in self._open
            if connection.phase != "request" and connection.transport is not None
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda connection: connection.since)
        self.forget(oldest)
        oldest.end()
        return True

    def _refuse(self, accepted: socket.socket, source: str, tls: ssl.SSLContext | None) -> None:
        kept = self._rate.admit(source)
        if kept is not None:
            log.warning(
                "connection refused: too many are open",
                source=source,
                from_source=self._sources[source],
                open=self.connections,
                not_logged=kept,
            )
        with suppress(OSError):
            if tls is None:
                accepted.send(_BUSY)
            accepted.close()

    async def _accept_failed(self, error: OSError) -> None:
        """Wait where that helps; raise what it does not help against."""
        if error.errno in _CLIENT_GONE:
            return
        if error.errno not in _SHORT_OF:
            raise error
        kept = self._rate.admit("accept")
        if kept is not None:
            log.error(
                "no connections accepted for now",
                reason=error.strerror,
                open=self.connections,
                not_logged=kept,
            )
        self._ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_ACCEPT_PAUSE):
                await self._ended.wait()

    async def _admit(
        self,
        accepted: socket.socket,
        source: str,
        runner: web.AppRunner,
        tls: ssl.SSLContext | None,
    ) -> None:
        if runner.server is None:
            accepted.close()
            return
        connection = _Connection(runner.server(), source, self)
        self._sources[source] += 1
        self._open[connection] = None
        handshake = self.limits.handshake_seconds if tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=tls, ssl_handshake_timeout=handshake
            )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            self._handshake_failed(source, error)
            self.forget(connection)
        except BaseException:
            self.forget(connection)
            raise

    def _handshake_failed(self, source: str, error: Exception) -> None:
        """Log a client that is no agent of this authority, seldom; others just went away."""
        if not isinstance(error, ssl.SSLCertVerificationError):
            log.debug("no connection", source=source, reason=one_line(error))
            return
        kept = self._rate.admit((source, "certificate"))
        if kept is not None:
            cause = f"its certificate is not valid: {error.verify_message}"
            log.warning("agent refused", source=source, cause=cause, not_logged=kept)


async def _readable(sock: socket.socket) -> None:
    """Wait until a connection can be accepted.

    The event loop's own ``sock_accept`` loses a connection when it is cancelled right after
    it accepted one.
    """
    loop = asyncio.get_running_loop()
    comes = loop.create_future()

    def came() -> None:
        if not comes.done():
            comes.set_result(None)

    loop.add_reader(sock, came)
    try:
        await comes
    finally:
        loop.remove_reader(sock)


def _connection(request: web.BaseRequest) -> _Connection | None:
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, _Connection) else None


class _AnswerSent(AbstractAccessLogger):
    """aiohttp calls its access log when an answer is sent, and nothing else then."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Take the request for done."""
        del response, time
        connection = _connection(request)
        if connection is not None:
            connection.finish()


class _OneLine(logging.Handler):
    """aiohttp's log as lines of ours: what clients do wrong is no error of the server.

    A handler that fails is one line; its traceback is for debugging.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        error = record.exc_info[1] if record.exc_info else None
        context = record.getMessage()
        if isinstance(error, HttpProcessingError | ConnectionError):
            log.debug("HTTP request not served", reason=one_line(error), context=context)
        elif error is not None:
            log.error("HTTP request failed", reason=one_line(error), context=context)
            log.debug("HTTP request failed", exc_info=error)
        else:
            log.log(record.levelno, "HTTP", context=context)


_http_log = logging.getLogger("rackwright.http")
_http_log.setLevel(logging.DEBUG)
_http_log.propagate = False
_http_log.addHandler(_OneLine())


class BodyTooLargeError(Exception):
    """A request's body has more than ``limit`` bytes; what was read of it is thrown away."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the request's body. Raises ``BodyTooLargeError`` before it is read, if it says so."""
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError(limit)
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise BodyTooLargeError(limit)
    return bytes(body)


async def decode_body(kind: type[T], body: bytes) -> T:
    """Return the message in ``body``, parsed beside the event loop if it is long.

    Raises ``agent.wire.codec.WireError``.
    """
    if len(body) <= _PARSED_AT_ONCE:
        return decode(kind, body)
    return await asyncio.to_thread(decode, kind, body)
