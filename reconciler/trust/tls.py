"""The server's side of TLS."""

import ssl

from reconciler.trust.authority import ServerCredentials


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
    present(context, credentials)
    return context


def present(context: ssl.SSLContext, credentials: ServerCredentials) -> None:
    """Present ``credentials`` from the next handshake on, also on a context in use."""
    context.load_cert_chain(credentials.certificate_path, credentials.key_path)
