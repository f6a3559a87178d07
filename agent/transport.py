"""HTTPS to one server, with the server's identity checked before anything is said.

Two kinds of trust. ``PinnedServer``: the leaf certificate has a known SHA-256
fingerprint, nothing else of it matters; this works on machines whose clock is
wrong, so the Deploy-OS uses it throughout. ``KnownAuthority``: the certificate is
signed by the server's own certification authority and names the host (RFC 9525),
so that an installed agent outlives the renewal of the server's certificate.

Proxies named in the environment are ignored, redirects are not followed, and the
machine never listens.
"""

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from urllib3 import BaseHTTPResponse, HTTPSConnectionPool, Retry, Timeout
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError
from urllib3.exceptions import SSLError as TlsError
from urllib3.util import parse_url

from agent.credentials import Credentials
from agent.errors import (
    CodedError,
    EndedError,
    FencedError,
    NotAcceptedError,
    RefusedError,
    TerminalError,
    TransientError,
)
from agent.version import AGENT_VERSION

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_CONNECTIONS = 8  # four for chunks, one each for events, reports, evidence and a whole file
_DETAIL_LIMIT = 300
_LONGEST_REFUSAL = 65_536

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be sent again (RFC 9110, sections 15.5.9 and 15.6;
RFC 6585, section 4). 408: it did not arrive in time, where one of both is overloaded."""
_QUICK_RETRY = Retry(
    total=3,
    other=0,  # a wrong certificate does not become right
    redirect=0,
    allowed_methods=None,  # every endpoint recognises a repeated request
    status_forcelist=_BUSY,
    backoff_factor=0.5,
    backoff_max=8,
    backoff_jitter=0.5,
    retry_after_max=30,
    raise_on_status=False,
)
_NO_RETRY = Retry(total=0, redirect=0, raise_on_status=False)


@frozen
class PinnedServer:
    """Trust the one certificate with this SHA-256 fingerprint (64 hexadecimal digits)."""

    fingerprint: str


@frozen
class KnownAuthority:
    """Trust what the certification authority in this PEM file signed for the host."""

    certificate: Path


Trust = PinnedServer | KnownAuthority


class Answer:
    """An answer whose body is read piece by piece. Names of headers are in lower case."""

    def __init__(self, server: str, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._server = server
        self._response = response

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the body as it comes, at most ``size`` bytes each; raises as ``Transport.send``."""
        try:
            while piece := self._response.read1(size, decode_content=False):
                yield piece
        except HTTPError as error:
            raise failure_of(self._server, error) from error


class Transport:
    """Requests to one server over a few kept-alive connections; safe to share by threads.

    ``server`` is ``https://HOST:PORT``. With ``credentials`` the agent proves who it is
    (mutual TLS). Raises TerminalError RW560 for a URL that is none, RW561 where the
    credentials cannot be used.
    """

    def __init__(self, server: str, trust: Trust, credentials: Credentials | None = None) -> None:
        self.server = server
        self._pool = _new_pool(server, trust, credentials)

    def use(self, trust: Trust, credentials: Credentials) -> None:
        """Prove to be somebody else from the next request on, as after a renewal.

        Raises TerminalError RW561 where the credentials cannot be used; nothing changed then.
        """
        earlier, self._pool = self._pool, _new_pool(self.server, trust, credentials)
        earlier.close()  # requests that are under way end first

    def send(  # noqa: PLR0913 - one HTTP request has that many parts
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        content_type: str = "application/json",
        read_seconds: float = _READ_SECONDS,
        quick_retries: bool = True,
        header: tuple[str, str] | None = None,
    ) -> bytes:
        """Send one request and return the body of the answer.

        A ``body`` in pieces needs a ``header`` with its ``Content-Length``, and no quick retries.
        A few quick retries bridge a dropped connection or a busy server.
        Raises TransientError (RW557 unreachable, RW558 busy, RW470 no room), FencedError (RW554),
        EndedError (RW577) or TerminalError (RW551 wrong certificate, RW552 certificate not
        verified, RW553 refused, RW555 not accepted).
        """
        pool = self._pool
        headers = dict(pool.headers)
        if body is not None:
            headers["Content-Type"] = content_type
        if header is not None:
            headers[header[0]] = header[1]
        try:
            response = pool.urlopen(
                method,
                path,
                body=body,
                headers=headers,
                timeout=Timeout(connect=_CONNECT_SECONDS, read=read_seconds),
                retries=_QUICK_RETRY if quick_retries else _NO_RETRY,
                redirect=False,
            )
        except HTTPError as error:
            raise failure_of(self.server, error) from error
        problem = problem_of(response.status, f"{method} {path}", response.data)
        if problem is not None:
            raise problem
        return response.data

    @contextmanager
    def receive(
        self, path: str, headers: Mapping[str, str], *, read_seconds: float = _READ_SECONDS
    ) -> Iterator[Answer]:
        """Ask for what is too large for the memory; its body is for the caller to read.

        Raises as ``send``, where the answer is no success, and while the body is read.
        """
        try:
            response = self._pool.urlopen(
                "GET",
                path,
                headers={**self._pool.headers, **headers},
                timeout=Timeout(connect=_CONNECT_SECONDS, read=read_seconds),
                retries=_QUICK_RETRY,
                redirect=False,
                preload_content=False,
            )
        except HTTPError as error:
            raise failure_of(self.server, error) from error
        try:
            answer = Answer(self.server, response)
            if not 200 <= response.status < 300:  # noqa: PLR2004 - the success class
                said = next(answer.pieces(_LONGEST_REFUSAL), b"")
                problem = problem_of(response.status, f"GET {path}", said)
                if problem is not None:
                    raise problem
            yield answer
        finally:
            # What is left of a body would be read as the next answer: not kept alive then.
            response.close()
            response.release_conn()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()


def _new_pool(server: str, trust: Trust, credentials: Credentials | None) -> HTTPSConnectionPool:
    try:
        url = parse_url(server)
    except LocationParseError as error:
        raise _not_a_url(server) from error
    if url.scheme != "https" or not url.host:
        raise _not_a_url(server)
    return HTTPSConnectionPool(
        url.host,
        url.port or 443,
        maxsize=_CONNECTIONS,
        block=True,
        retries=_QUICK_RETRY,
        ssl_context=_context(trust, credentials),
        assert_fingerprint=trust.fingerprint if isinstance(trust, PinnedServer) else None,
        headers={"User-Agent": f"rackwright-agent/{AGENT_VERSION}"},
    )


def problem_of(status: int, request: str, body: bytes) -> CodedError | None:
    """Return the error that an HTTP status means to the agent (RFC 9110), None for success."""
    if 200 <= status < 300:  # noqa: PLR2004 - the success class
        return None
    detail, action = _said(body)
    said = f": {detail}" if detail else ""
    if status in (401, 403):
        return RefusedError(
            f"the server refused {request} with status {status}{said}",
            action or "See the machine's status on the server for the reason",
            status,
        )
    if status == 409:  # noqa: PLR2004 - Conflict
        return FencedError(
            "RW554",
            f"another attempt took over: the server refused {request} with status 409{said}",
            "Nothing is needed here; the newer attempt carries on",
        )
    if status == 410:  # noqa: PLR2004 - Gone
        return EndedError(
            "RW577",
            f"the server ended this operation{said}",
            action or "See the operation on the server for the reason",
        )
    if status == 507:  # noqa: PLR2004 - Insufficient Storage (RFC 4918, 11.5)
        return TransientError(
            "RW470",
            f"the server has no room for {request}{said}",
            action or "Make room on the disk of its image store",
        )
    if status in _BUSY:
        return TransientError(
            "RW558",
            f"the server could not answer {request} (status {status}){said}",
            "Wait; if it persists, read the server's log",
        )
    return NotAcceptedError(
        f"the server did not accept {request} (status {status}){said}",
        action or "Compare the versions of server and agent, and read the server's log",
        status,
    )


def failure_of(server: str, error: HTTPError) -> CodedError:
    """Return the error that a failed connection means to the agent."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    inner = reason.args[0] if reason is not None and reason.args else None
    if isinstance(inner, ssl.SSLCertVerificationError):
        return TerminalError(
            "RW552",
            f"the certificate of {server} is not verified: {inner.verify_message}",
            "Check the address, this machine's clock, and who answers there",
        )
    if isinstance(reason, TlsError) and not isinstance(inner, Exception):
        return TerminalError(
            "RW551",
            f"{server} shows another certificate than the pinned one. {inner}",
            "Nothing was sent to it. Find out who answers at that address",
        )
    return TransientError(
        "RW557",
        f"the server {server} cannot be reached: {_one_line(str(reason or error).encode())}",
        "Check the network between this machine and the server",
    )


def _context(trust: Trust, credentials: Credentials | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if isinstance(trust, PinnedServer):
            # The pool compares the fingerprint right after the handshake, before a request.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(trust.certificate)
        if credentials is not None:
            context.load_cert_chain(credentials.certificate, credentials.key)
    except (OSError, ssl.SSLError) as error:
        raise TerminalError(
            "RW561",
            f"the key and certificates of this agent cannot be used: {error}",
            "Remove its state directory and deploy this machine again",
        ) from error
    return context


def _not_a_url(server: str) -> TerminalError:
    return TerminalError(
        "RW560", f"{server!r} is not an https:// URL", "Correct the server's address"
    )


def _said(body: bytes) -> tuple[str, str]:
    """Return cause and action of the server's ``{"code", "cause", "action"}``, else its text."""
    try:
        answer = json.loads(body)
        said = f"{answer['code']} {answer['cause']}"
        return _one_line(said.encode()), _one_line(str(answer["action"]).encode()).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return _one_line(body), ""


def _one_line(body: bytes) -> str:
    text = " ".join(body[: 4 * _DETAIL_LIMIT].decode("utf-8", "replace").split())
    return "".join(char for char in text if char.isprintable())[:_DETAIL_LIMIT]
