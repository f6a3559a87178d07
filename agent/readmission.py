"""Coming back after the certificate expired: the machine was off for long.

The agent asks without a client certificate, and proves that it is the one that the server knows
by signing with the key of its last certificate. It trusts the server as ever: by the authority
that it has. Until it is let in, by a rule of the fleet or by a person, it waits.
"""

import logging
from collections.abc import Callable

from agent.clock import Clock
from agent.commands import openssl
from agent.credentials import CredentialStore
from agent.errors import CodedError, RefusedError, TerminalError
from agent.renewal import Renewal
from agent.retry import RetryPolicy
from agent.transport import KnownAuthority, Transport
from agent.wire.codec import WireError, decode, encode
from agent.wire.renewal import RenewedCertificate, ReturnAnswer, ReturnQuestion
from agent.wire.report import Hardware

_UNAUTHORIZED = 401  # RFC 9110, section 15.5.2
_POLICY = RetryPolicy(first=30.0, cap=600.0)
_log = logging.getLogger(__name__)


class Readmission:
    """Asks the server to let this agent in again."""

    def __init__(
        self,
        transport: Transport,
        store: CredentialStore,
        renewal: Renewal,
        hardware: Callable[[], Hardware],
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._store = store
        self._renewal = renewal
        self._hardware = hardware
        self._clock = clock
        self._failures = 0
        self._not_before = float("-inf")

    def ask(self, error: CodedError) -> bool:
        """Return whether the agent is let in again after the server refused it so.

        Only where its certificate is the reason, and not more often than with growing pauses.
        """
        if not (isinstance(error, RefusedError) and error.status == _UNAUTHORIZED):
            return False
        if self._clock.monotonic() < self._not_before:
            return False
        try:
            waits = self._come_back()
        except CodedError as problem:
            waits = problem.cause
        if not waits:
            self._failures, self._not_before = 0, float("-inf")
            _log.info("this agent is let in again")
            return True
        self._failures += 1
        delay = _POLICY.delay(self._failures, self._clock.chance())
        self._not_before = self._clock.monotonic() + delay
        _log.warning(
            "RW585: waiting to be let in again: %s. On the server: rackwright agent ls. "
            "asked_again_in=%.0fs",
            waits,
            delay,
        )
        return False

    def _come_back(self) -> str:
        """Return why the agent has to wait; empty once it has a certificate."""
        present = self._renewal.credentials
        question = ReturnQuestion(
            certificate=_certificate_in(present.certificate.read_text("ascii")),
            csr=openssl.make_request(present.key).decode("ascii"),
            hardware=self._hardware(),
        )
        stranger = Transport(self._transport.server, KnownAuthority(present.authority))
        try:
            body = stranger.send("POST", "/v1/return", encode(question))
        finally:
            stranger.close()
        answer = _understood(body)
        if not answer.certificate:
            return answer.waits or "the server does not say why"
        renewed = RenewedCertificate(answer.certificate, answer.authority)
        self._renewal.credentials = self._store.replace(present, renewed)
        self._transport.use(KnownAuthority(present.authority), self._renewal.credentials)
        return ""


def _certificate_in(pem: str) -> str:
    """Return the certificate alone: the key beside it never leaves the machine."""
    begin = pem.find("-----BEGIN CERTIFICATE-----")
    return pem[begin:] if begin >= 0 else ""


def _understood(body: bytes) -> ReturnAnswer:
    try:
        return decode(ReturnAnswer, body)
    except WireError as error:
        raise TerminalError(
            "RW584",
            f"the server's answer to the return cannot be understood: {error}",
            "Compare the versions of server and agent",
        ) from error
