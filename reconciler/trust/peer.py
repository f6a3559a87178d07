"""Who is at the other end of a TLS connection."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from reconciler.errors import TrustError
from reconciler.trust.identity import AgentIdentity, Environment, parse_uri


@dataclass(frozen=True, slots=True)
class AgentPeer:
    """An agent that proved its key, as its certificate names it."""

    machine: str
    environment: Environment
    serial: int
    expires: datetime


def connected_agent(
    connection: ssl.SSLObject | ssl.SSLSocket | None, now: datetime
) -> AgentPeer | None:
    """Return the agent on ``connection``; None when it showed no certificate (or no TLS).

    ``connection`` is a transport's ``ssl_object`` from a context of
    ``reconciler.trust.tls``, which checked the certificate's signature. Ask for
    every request: a connection that is kept open may outlive the certificate.
    Raises ``TrustError`` RW508 when the certificate is no agent's, RW509 when it has
    expired since.
    """
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if der is None:
        return None
    peer = parse_peer(der)
    if now > peer.expires:
        raise TrustError(
            "RW509",
            f"the certificate of {peer.machine} ({peer.environment}) expired at"
            f" {peer.expires:%Y-%m-%d %H:%M} UTC",
            "Let the agent enroll again with a new token",
        )
    return peer


def parse_peer(der: bytes) -> AgentPeer:
    """Return the agent that the DER certificate names, TrustError RW508 when it names none.

    Says nothing about who signed it.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identities = [parse_uri(name.value) for name in names if _is_uri(name)]
    except (ValueError, x509.ExtensionNotFound) as error:
        raise _no_agent() from error
    match identities:
        case [AgentIdentity(machine, environment)] if ExtendedKeyUsageOID.CLIENT_AUTH in usage:
            return AgentPeer(
                machine,
                environment,
                certificate.serial_number,
                certificate.not_valid_after_utc.astimezone(UTC),
            )
    raise _no_agent()


def _is_uri(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier)


def _no_agent() -> TrustError:
    return TrustError(
        "RW508",
        "the client's certificate does not name an agent",
        "Let the agent enroll again; other programs connect without a client certificate",
    )
