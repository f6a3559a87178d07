"""What the server shows of itself in TLS handshakes, followed while it runs.

Other processes roll the authority's key over or retire one, and the server's own certificate runs
out after a year. Which agents are trusted changes at once. The server's certificate changes when
no machine has work under way: agents in the Deploy-OS know it by its pin and by nothing else.
"""

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Address

import structlog

from reconciler.errors import TrustError
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context

LONGEST_DELAY = timedelta(hours=12)
"""For how long a new certificate of the server waits for work to end."""

log = structlog.get_logger(__name__)


class TlsIdentity:
    """The server's certificate and the context of new connections."""

    def __init__(
        self, authority: Authority, address: IPv4Address, clock: Callable[[], datetime]
    ) -> None:
        self._authority = authority
        self._address = address
        self._clock = clock
        self._version = authority.files_version()
        self._due_since: datetime | None = None
        self._problem = ""
        self._credentials = authority.server_credentials(address, clock())
        self._context = server_context(self._credentials, authority.trusted_pem)

    @property
    def pin(self) -> str:
        """The SHA-256 of the certificate that the server shows, in hex."""
        return self._credentials.pin

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        return self._context

    def look(self, *, is_quiet: bool) -> bool:
        """Take over what changed; return whether the pin is another one.

        ``is_quiet``: no machine is at work that knows the server by its pin. Where the
        authority's files cannot be used, that is logged, and the server goes on with what it has.
        """
        try:
            return self._look(is_quiet=is_quiet)
        except TrustError as error:
            if error.cause != self._problem:
                log.warning("the authority cannot be used", code=error.code, cause=error.cause)
            self._problem = error.cause
            return False

    def _look(self, *, is_quiet: bool) -> bool:
        authority, now = self._authority, self._clock()
        version = authority.files_version()
        if version != self._version:
            authority.reload(now)
            self._version = version
            log.info("the authority has changed", key=authority.key_id)
            self._context = server_context(self._credentials, authority.trusted_pem)
        if not authority.is_server_certificate_due(self._address, now):
            self._due_since = None
            return False
        self._due_since = self._due_since or now
        if not is_quiet and now - self._due_since < LONGEST_DELAY:
            return False
        before, self._due_since = self._credentials.pin, None
        self._credentials = authority.server_credentials(self._address, now)
        self._context = server_context(self._credentials, authority.trusted_pem)
        log.info("the server has another certificate", pin=self.pin)
        return self.pin != before
