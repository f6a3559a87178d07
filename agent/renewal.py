"""Renewing the certificate of an installed agent, before it expires.

The server says when, by its clock, which is also what judges certificates: this machine's may be
wrong. Each renewal makes another key. The new pair is tried before the old one goes.
"""

import logging

from agent.clock import Clock
from agent.credentials import Credentials, CredentialStore
from agent.errors import CodedError, TerminalError
from agent.retry import RetryPolicy
from agent.transport import KnownAuthority, Transport
from agent.wire.codec import WireError, decode, encode
from agent.wire.renewal import RenewalRequest, RenewedCertificate

_POLICY = RetryPolicy(first=60.0, cap=3600.0)
_log = logging.getLogger(__name__)


class Renewal:
    """A duty: asks for another certificate when the server says that it is time."""

    def __init__(
        self, transport: Transport, store: CredentialStore, credentials: Credentials, clock: Clock
    ) -> None:
        self._transport = transport
        self._store = store
        self._clock = clock
        self._is_due = False
        self._failures = 0
        self._not_before = float("-inf")
        self.credentials = credentials
        """Those that count now; whoever replaces them otherwise sets them."""

    def told(self, *, due: bool) -> None:
        """Take notice of whether the server wants another certificate to be asked for."""
        self._is_due = due

    def turn(self) -> None:
        """Renew where it is due; after a failure not again for a while.

        CodedError where it fails: the present certificate is good for days yet.
        """
        if not self._is_due or self._clock.monotonic() < self._not_before:
            return
        try:
            self._renew()
        except CodedError:
            self._failures += 1
            delay = _POLICY.delay(self._failures, self._clock.chance())
            self._not_before = self._clock.monotonic() + delay
            raise
        self._is_due, self._failures = False, 0

    def _renew(self) -> None:
        body = encode(RenewalRequest(self._store.next_request()))
        renewed = _understood(self._transport.send("POST", "/v1/renew", body))
        staged = self._store.stage(self.credentials, renewed)
        self._try_out(staged)
        self.credentials = self._store.take(staged)
        self._transport.use(KnownAuthority(self.credentials.authority), self.credentials)
        _log.info("the certificate is renewed")

    def _try_out(self, staged: Credentials) -> None:
        """Ask for work with the new pair, as any request; nothing is claimed.

        CodedError where the server cannot be reached with it; one that will never do is dropped.
        """
        try:
            transport = Transport(self._transport.server, KnownAuthority(staged.authority), staged)
            try:
                transport.send("GET", "/v1/work?wait=0")
            finally:
                transport.close()
        except TerminalError:
            self._store.discard_next()
            raise


def _understood(answer: bytes) -> RenewedCertificate:
    try:
        return decode(RenewedCertificate, answer)
    except WireError as error:
        raise TerminalError(
            "RW584",
            f"the server's answer to the renewal cannot be understood: {error}",
            "Compare the versions of server and agent",
        ) from error
