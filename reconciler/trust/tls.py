"""The server's side of TLS: whom it lets in, and who came."""

import ssl
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from reconciler.errors import TrustError
from reconciler.trust.authority import ServerCredentials
from reconciler.trust.identity import AgentIdentity, parse_uri


def server_context(credentials: ServerCredentials, authority_pem: str) -> ssl.SSLContext:
    """Return a context that presents ``credentials`` and lets agents show a certificate.

    A client without a certificate is let in (people, and agents that are about to
    enroll); one with a certificate that this authority did not sign for clients, or
    that has expired, is cut off. The system's certificate store is not consulted.

    TLS 1.3 only: it encrypts client certificates, and every agent's Python has it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority_pem)
    # A resumed session would carry a client certificate past its expiry unchecked.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(credentials.certificate_path, credentials.key_path)
    return context


def connected_agent(
    connection: ssl.SSLObject | ssl.SSLSocket | None, now: datetime
) -> AgentIdentity | None:
    """Return the agent on ``connection``; None when it showed no certificate (or no TLS).

    ``connection`` is a transport's ``ssl_object`` from a context of ``server_context``,
    which checked the certificate's signature. Ask for every request: a connection that is
    kept open may outlive the certificate.
    Raises ``TrustError`` RW508 when the certificate is no agent's, RW509 when it has
    expired since.
    """
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if der is None:
        return None
    agent, expires = parse_agent(der)
    if now > expires:
        raise TrustError(
            "RW509",
            f"the certificate of {agent.machine} ({agent.environment}) expired at"
            f" {expires:%Y-%m-%d %H:%M} UTC",
            "Let the agent enroll again with a new token",
        )
    return agent


def parse_agent(der: bytes) -> tuple[AgentIdentity, datetime]:
    """Return the agent that the DER certificate names, and when it expires.

    Raises ``TrustError`` RW508 when it names none. Says nothing about who signed it.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise _no_agent() from error
    identity = parse_uri(uris[0]) if len(uris) == 1 else None
    if identity is None or ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise _no_agent()
    return identity, certificate.not_valid_after_utc


def _no_agent() -> TrustError:
    return TrustError(
        "RW508",
        "the client's certificate does not name an agent",
        "Let the agent enroll again; other programs connect without a client certificate",
    )
