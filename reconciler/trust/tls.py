"""The server's side of TLS: whom it lets in, and who came."""

import hashlib
import ssl
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from reconciler.errors import OutdatedCertificateError, TrustError
from reconciler.trust.authority import ServerCredentials
from reconciler.trust.identity import AgentIdentity, parse_uri

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of X509_VERIFY_PARAM_set_flags(3), which Python has no name for."""


def server_context(credentials: ServerCredentials, trusted: str) -> ssl.SSLContext:
    """Return a context that presents ``credentials`` and lets agents show a certificate.

    A client without a certificate is let in (people, and agents that are about to
    enroll); one with a certificate that this authority did not sign for clients is cut off.
    Whether a certificate has expired or is of a retired key is for ``connected_agent`` and
    the server's authentication, which says so over HTTP: an alert of TLS 1.3 comes after the
    client's part of the handshake, and is lost where the client sends meanwhile. ``trusted``
    has the certificates of all keys of the authority. The system's certificate store is not
    consulted.

    TLS 1.3 only: it encrypts client certificates, and every agent's Python has it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | _NO_CHECK_TIME
    context.load_verify_locations(cadata=trusted)
    # A resumed session would carry a client certificate past its expiry unchecked.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(credentials.certificate_path, credentials.key_path)
    return context


class AgentCertificate(NamedTuple):
    """What an agent's certificate says. Whose signature it has is another question."""

    agent: AgentIdentity
    serial: str
    """In hex."""
    key: str
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER) in hex."""
    authority_key: str
    """The id of the authority's key that signed it, in hex; empty where it says none."""
    issued: datetime
    """When its validity begins, minutes before it was signed."""
    expires: datetime


def connected_agent(
    connection: ssl.SSLObject | ssl.SSLSocket | None, now: datetime
) -> AgentCertificate | None:
    """Return whose certificate ``connection`` has; None when it showed none (or no TLS).

    ``connection`` is a transport's ``ssl_object`` from a context of ``server_context``,
    which checked the certificate's signature. Ask for every request: a connection that is
    kept open may outlive the certificate.
    Raises ``TrustError`` RW508 when the certificate is no agent's,
    ``OutdatedCertificateError`` RW509 when it has expired.
    """
    found = shown_certificate(connection)
    if found is None:
        return None
    if now > found.expires:
        raise OutdatedCertificateError(
            "RW509",
            f"the certificate of {found.agent.machine} ({found.agent.environment}) expired at"
            f" {found.expires:%Y-%m-%d %H:%M} UTC",
            "An installed agent asks to come back by itself; let any other enroll again with a"
            " new token",
        )
    return found


def shown_certificate(connection: ssl.SSLObject | ssl.SSLSocket | None) -> AgentCertificate | None:
    """Return the certificate on ``connection``, expired or not; None when it showed none.

    Raises ``TrustError`` RW508 when the certificate is no agent's.
    """
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    return None if der is None else parse_agent(der)


def parse_agent(der: bytes) -> AgentCertificate:
    """Return what the DER certificate says of its agent.

    Raises ``TrustError`` RW508 when it names none. Says nothing about who signed it.
    """
    try:
        return agent_certificate(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise _no_agent() from error


def agent_certificate(certificate: x509.Certificate) -> AgentCertificate:
    """Return what a certificate says of its agent; ``TrustError`` RW508 when it names none."""
    try:
        extensions = certificate.extensions
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        key = public_key_digest(certificate.public_key())
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as error:
        raise _no_agent() from error
    identity = parse_uri(uris[0]) if len(uris) == 1 else None
    if identity is None or ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise _no_agent()
    return AgentCertificate(
        identity,
        f"{certificate.serial_number:x}",
        key,
        _authority_key(extensions),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def public_key_digest(key: PublicKeyTypes) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo, DER) in hex."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _authority_key(extensions: x509.Extensions) -> str:
    try:
        found = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return ""
    return (found.key_identifier or b"").hex()


def _no_agent() -> TrustError:
    return TrustError(
        "RW508",
        "the client's certificate does not name an agent",
        "Let the agent enroll again; other programs connect without a client certificate",
    )
