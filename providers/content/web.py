"""Files of the web, read piece by piece: a proxy, a login, redirects, and what went wrong.

Proxies named in the environment are ignored: documents name them. A login goes to the origin
(RFC 6454) that it is for and to no other, and over the network only encrypted.
"""

import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
)
from urllib3.exceptions import (
    ProxyError as ProxyFailure,
)

from agent.rate import Pace
from providers.content.errors import (
    AddressError,
    ConnectionLostError,
    ContentError,
    ProxyError,
    StatusError,
    TooSlowError,
    is_proxy_login,
)

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
SLOW_SECONDS = 60.0
SLOWEST = 1024
"""Bytes a second, over ``SLOW_SECONDS``, below which a server is given up."""

_PIECE = 1 << 18
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_AGENT = "rackwright"


@dataclass(frozen=True)
class Login:
    """A user name and a password, which is shown nowhere."""

    username: str
    password: str = field(repr=False)


class Answer:
    """An answer with status 200 or 206; names of headers are in lower case."""

    def __init__(self, web: "Web", url: str, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }
        self.url = url
        self._web = web
        self._response = response

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes; ConnectionLostError where it breaks off or is too slow."""
        web = self._web
        since, received = web.now(), 0
        while True:
            try:
                piece = self._response.read1(_PIECE, decode_content=False)
            except HTTPError as error:
                raise web.failure(self.url, error) from error
            if not piece:
                return
            yield piece
            received += len(piece)
            now = web.now()
            if now - since >= SLOW_SECONDS:
                if received < SLOWEST * SLOW_SECONDS:
                    raise TooSlowError(
                        self.url,
                        f"{received:,} bytes came in {now - since:.0f} s, which is too slow",
                    )
                since, received = now, 0
            web.wait(web.pace.pause(len(piece), now))


class Web:
    """The web as one source is asked; ``close`` ends its connections.

    ``base`` is the address that the login is for. ``max_rate`` is in bytes a second.
    """

    def __init__(  # noqa: PLR0913 - how one source is asked
        self,
        base: str = "",
        *,
        proxy: str = "",
        login: Login | None = None,
        max_rate: float | None = None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base
        self._proxy = proxy
        self._login = login
        self.pace = Pace(max_rate)
        self.now = now
        self.wait = wait
        context = ssl.create_default_context()
        self._pool = (
            ProxyManager(proxy, ssl_context=context) if proxy else PoolManager(ssl_context=context)
        )

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
        """Ask for a file. Redirects are followed, but not from https to http.

        Raises AddressError, ProxyError, ConnectionLostError, StatusError.
        """
        response = self._final(url, dict(headers or {}))
        try:
            yield Answer(self, url, response)
        finally:
            # What is left of a body would be read as the next answer: not kept alive then.
            response.close()
            response.release_conn()

    def failure(self, url: str, error: HTTPError) -> ContentError:
        """Return what a failed request or transfer means."""
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, ProxyFailure):
            inner = reason.original_error
            if isinstance(inner, NameResolutionError):
                return ProxyError(self._proxy, "its name is not known")
            return ProxyError(self._proxy, _line(inner))
        if isinstance(reason, NameResolutionError):
            if self._proxy:
                return ProxyError(self._proxy, "its name is not known")
            return AddressError(url, f"no host is called {urlsplit(url).hostname}")
        if isinstance(reason, LocationParseError):
            return AddressError(url, "it is no address of the web")
        return ConnectionLostError(url, _line(reason))

    def _final(self, url: str, headers: dict[str, str]) -> BaseHTTPResponse:
        place = url
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._ask(place, headers)
            if response.status in {200, 206}:
                return response
            response.close()
            response.release_conn()
            if is_proxy_login(response.status):
                raise ProxyError(self._proxy or url, "it wants a login")
            target = response.headers.get("location", "")
            if response.status not in _REDIRECTS or not target:
                raise StatusError(url, response.status)
            place = _redirected(url, place, target)
        raise AddressError(url, f"it leads through more than {_MOST_REDIRECTS} redirects")

    def _ask(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        try:
            return self._pool.request(
                "GET",
                url,
                headers={
                    "User-Agent": _AGENT,
                    "Accept-Encoding": "identity",
                    **headers,
                    **self._authorization(url),
                },
                timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise self.failure(url, error) from error
        except ValueError as error:  # a host name that cannot be encoded
            raise AddressError(url, _line(error)) from error

    def _authorization(self, url: str) -> dict[str, str]:
        """Return the header of basic authentication (RFC 7617) for the login's own origin."""
        if self._login is None or origin(url) != origin(self._base):
            return {}
        if urlsplit(url).scheme != "https" and not _is_loopback(url):
            raise AddressError(url, "the login would go over the network unencrypted; use https")
        text = f"{self._login.username}:{self._login.password}".encode()
        return {"Authorization": f"Basic {b64encode(text).decode()}"}


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _redirected(first: str, place: str, target: str) -> str:
    found = urljoin(place, target)
    scheme = urlsplit(found).scheme
    if scheme not in _PORTS or (urlsplit(place).scheme == "https" and scheme == "http"):
        raise AddressError(first, f"it is redirected to {found[:200]}, which is not followed")
    return found


def _is_loopback(url: str) -> bool:
    try:
        return ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return "".join(char for char in text if char.isprintable())[:300] or type(error).__name__
