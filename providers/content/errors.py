"""Errors of the content store and of transfers into it. Each class owns its code.

ContentError (TerminalError)
├── NoRoomError            RW260  the disk has no room for it beside what stays free     space
├── AddressError           RW261  no such host, or an address that cannot be used        address
├── ProxyError             RW262  the proxy is away, or wants a login                     proxy
├── ConnectionLostError    RW263  no connection, or one that broke off            connection
│   └── TooSlowError       RW263  so little comes that it may never end
├── StatusError            RW264  the server answered with another status than 200        status
├── EndlessDataError       RW269  the server sends more than there is to be            signature
├── WrongContentError      RW270  the checksum does not fit                            signature
├── UnknownContentError    RW275  the store has no such file
├── BadChecksumError       RW276  the text is no checksum
└── TransferInUseError     RW273  another process fetches the same file                   in use

The last column is the class of failure that is kept of a package source. ``StatusError`` and
``ConnectionLostError`` may go away by themselves: whoever mirrors tries again a few times.
"""

from pathlib import Path
from typing import ClassVar, Literal

from agent.errors import TerminalError

Failure = Literal[
    "space", "address", "proxy", "connection", "status", "signature", "in use", "secret", "other"
]
"""What was the matter with a transfer, for people who look at many."""
_PROXY_LOGIN = 407
"""Proxy Authentication Required (RFC 9110, section 15.5.8)."""
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be sent again."""


class ContentError(TerminalError):
    """A file cannot be had or kept."""

    failure: ClassVar[Failure] = "other"


class NoRoomError(ContentError):
    """The disk has no room. Of what was transferred before, nothing is lost."""

    failure = "space"

    def __init__(self, store: Path, needed: int, free: int, keep_free: int) -> None:
        super().__init__(
            "RW260",
            f"{store} has {free:,} bytes free, {needed:,} are needed and {keep_free:,} stay free",
            "Make room on its disk, or lower keepFree of the source",
        )


class AddressError(ContentError):
    """An address cannot be used."""

    failure = "address"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            "RW261", f"{url} cannot be used: {reason}", "Correct the address in the document"
        )


class ProxyError(ContentError):
    """The proxy is away, refuses, or wants a login, which is not supported."""

    failure = "proxy"

    def __init__(self, proxy: str, reason: str) -> None:
        super().__init__(
            "RW262",
            f"the proxy {proxy} does not pass it on: {reason}",
            "See the proxy's log, and let it pass this server without a login",
        )


class ConnectionLostError(ContentError):
    """There is no connection, or it broke off. What arrived is kept."""

    failure = "connection"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            "RW263",
            f"the connection to {url} failed: {reason}",
            "It goes on from there the next time; if it fails again, see the server and its log",
        )


class TooSlowError(ConnectionLostError):
    """So little comes that it may never end (slow retrieval)."""


class StatusError(ContentError):
    """The server answered, and not with the file."""

    failure = "status"

    def __init__(self, url: str, status: int) -> None:
        super().__init__(
            "RW264",
            f"{url} was answered with status {status}",
            "See whether the address and the login in the document are right, and the server's log",
        )
        self.status = status

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _BUSY


class EndlessDataError(ContentError):
    """A server sends more than there is to be; nothing of it is used."""

    failure = "signature"

    def __init__(self, url: str, most: int) -> None:
        super().__init__(
            "RW269",
            f"{url} has more than the {most:,} bytes that it may have",
            "Find out who answers at that address; the repository may have been tampered with",
        )


class WrongContentError(ContentError):
    """What came is not what was to come; nothing of it is used."""

    failure = "signature"

    def __init__(self, place: str, wanted: str, found: str) -> None:
        super().__init__(
            "RW270",
            f"{place} has the SHA-256 {found}, {wanted} is wanted",
            "Correct the checksum in the document, or find out who changed the file",
        )


class UnknownContentError(ContentError):
    """The store has no such file."""

    def __init__(self, sha256: str) -> None:
        super().__init__(
            "RW275",
            f"the content store has no file {sha256}",
            "Mirror the package's source: `rackwright package mirror`",
        )


class BadChecksumError(ContentError):
    """The text is no checksum."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "RW276",
            f"{text[:80]!r} is no SHA-256 checksum",
            "A checksum is 64 lower-case hexadecimal digits",
        )


class TransferInUseError(ContentError):
    """Another process is at it."""

    failure = "in use"

    def __init__(self, what: str) -> None:
        super().__init__(
            "RW273",
            f"another process works on {what}",
            "Wait until it is done; `rackwright package ls --sources` shows how it ended",
        )


def is_proxy_login(status: int) -> bool:
    """Return whether a status is a proxy's wish for a login."""
    return status == _PROXY_LOGIN


def is_transient(error: ContentError) -> bool:
    """Return whether the same transfer may succeed if it is tried again soon."""
    if isinstance(error, StatusError):
        return error.is_transient
    return isinstance(error, ConnectionLostError) and not isinstance(error, TooSlowError)
