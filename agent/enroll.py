"""Becoming known to the server: a token for a client certificate."""

import logging

from attrs import field, frozen

from agent.clock import Clock
from agent.credentials import Credentials, CredentialStore
from agent.errors import TerminalError
from agent.retry import RetryPolicy, retry
from agent.transport import PinnedServer, Transport
from agent.version import AGENT_VERSION
from agent.wire.codec import WireError, decode, encode
from agent.wire.enrollment import Enrollment, EnrollmentRequest
from agent.wire.report import Hardware, InstalledSystem

_log = logging.getLogger(__name__)


@frozen
class Invitation:
    """Whom to enroll with, and the token that allows it: single-use, or one that a person made."""

    server: str
    pin: str
    """SHA-256 fingerprint of the server's leaf certificate."""
    token: str = field(repr=False)
    environment: str
    """``deploy-os`` or ``installed``."""


def enroll(  # noqa: PLR0913, PLR0917 - what it says, to whom, and how often
    invitation: Invitation,
    store: CredentialStore,
    hardware: Hardware,
    policy: RetryPolicy,
    clock: Clock,
    system: InstalledSystem | None = None,
) -> Credentials:
    """Return this agent's credentials, enrolling with the token where there are none yet.

    ``system`` is what the server is told of an installed system beside its hardware.

    The token is sent only to the server whose certificate has the pinned
    fingerprint. A lost answer is asked for again with the same token and the same signing
    request. Raises TransientError once ``policy`` is used up, TerminalError where
    the server refuses (RW553) or is another one (RW551).
    """
    known = store.load()
    if known is not None:
        return known
    if not invitation.token:
        raise TerminalError(
            "RW563",
            f"this agent has neither a certificate in {store.directory} nor a token",
            "Deploy this machine again, or give it a new token",
        )
    request = EnrollmentRequest(
        token=invitation.token,
        csr=store.signing_request(),
        environment=invitation.environment,
        macs=hardware.macs,
        uuid=hardware.uuid,
        agent_version=AGENT_VERSION,
        serial=hardware.serial,
        vendor=hardware.vendor,
        product=hardware.product,
        hostname=system.hostname if system else "",
        addresses=system.addresses if system else (),
        os=system.os if system else "",
    )
    transport = Transport(invitation.server, PinnedServer(invitation.pin))
    try:
        answer = retry(lambda: transport.send("POST", "/v1/enroll", encode(request)), policy, clock)
    finally:
        transport.close()
    credentials = store.save(_enrollment(answer))
    _log.info("enrolled machine=%s server=%s", credentials.machine, invitation.server)
    return credentials


def _enrollment(body: bytes) -> Enrollment:
    try:
        return decode(Enrollment, body)
    except WireError as error:
        raise TerminalError(
            "RW559",
            f"the server's answer to the enrollment cannot be understood: {error}",
            "Compare the versions of server and agent",
        ) from error
