"""Which agents are let in: asked for every request, since connections stay open.

The handshake checks signatures alone. Whether a certificate has expired, was revoked, or is of a
retired key is judged here by the server's clock, so that an agent that is refused hears why, as
HTTP; a TLS alert often does not arrive, and says little.
"""

import ssl
from collections.abc import Callable
from datetime import datetime

import structlog
from aiohttp import web

from agent.errors import CodedError
from providers.netboot.log_rate import LogRate
from reconciler.errors import OutdatedCertificateError, TrustError
from reconciler.server.agent_requests import refusal
from reconciler.state.certificates import AgentCertificates, IssuedCertificate
from reconciler.trust.authority import Authority
from reconciler.trust.identity import AgentIdentity
from reconciler.trust.tls import AgentCertificate, connected_agent, shown_certificate

log = structlog.get_logger(__name__)
NEW_TOKEN = "Deploy the machine again, or give its agent a new token"  # noqa: S105 - what to do


class Authentication:
    """Judges the certificates that agents show."""

    def __init__(
        self,
        certificates: AgentCertificates,
        authority: Authority,
        clock: Callable[[], datetime],
    ) -> None:
        self._certificates = certificates
        self._authority = authority
        self._clock = clock
        self._rate = LogRate()

    def agent(self, request: web.Request, environment: str | None = None) -> AgentIdentity:
        """Return which agent asks; whoever is none, or none of ``environment``, is refused."""
        return self.certificate(request, environment).agent

    def certificate(self, request: web.Request, environment: str | None = None) -> AgentCertificate:
        """Return the certificate of the agent that asks. Refused as ``agent``.

        RW531 without a certificate, RW509 with one that has expired, RW520 with a revoked one,
        RW521 with one by a retired key.
        """
        transport = request.transport
        connection = transport.get_extra_info("ssl_object") if transport else None
        try:
            found = connected_agent(connection, self._clock())
            if found is not None:
                self.check(found)
        except TrustError as error:
            raise self.refused(request, error, _named(connection)) from error
        if found is None or (environment is not None and found.agent.environment != environment):
            stranger = TrustError(
                "RW531",
                "this call needs an agent's client certificate",
                "See `rackwright status` on the server",
            )
            raise self.refused(request, stranger, found.agent.machine if found else "")
        return found

    def check(self, certificate: AgentCertificate) -> None:
        """Raise TrustError where a certificate that has not expired is not accepted."""
        record = self.record(certificate)
        if record.revoked_at is not None:
            raise self.revoked(record)
        if certificate.authority_key not in self._authority.accepted_key_ids:
            raise OutdatedCertificateError(
                "RW521",
                f"the certificate of {certificate.agent.machine} is by a key of the authority that "
                "is retired",
                "Nothing is needed at once: an installed agent asks to come back by itself",
            )
        if record.used_at is None:
            self._certificates.note_use(record.serial, self._clock())
            if certificate.agent.environment == "installed":
                self._certificates.end_return(certificate.agent.machine)

    def record(self, certificate: AgentCertificate) -> IssuedCertificate:
        """Return the record of a certificate of this authority, made where none has it."""
        known = self._certificates.find(certificate.serial)
        if known is not None:
            return known
        agent = certificate.agent
        return self._certificates.record(
            IssuedCertificate(
                serial=certificate.serial,
                machine=agent.machine,
                environment=agent.environment,
                key=certificate.key,
                authority_key=certificate.authority_key,
                origin="seen",
                issued=certificate.issued,
                expires=certificate.expires,
            )
        )

    def revoked(self, record: IssuedCertificate) -> TrustError:
        """Return why a revoked certificate is refused."""
        by = self._certificates.revocation(record.machine)
        who = f" by {by.actor}: {by.reason}" if by else ""
        return TrustError(
            "RW520", f"the certificates of {record.machine} were revoked{who}", NEW_TOKEN
        )

    def refused(
        self, request: web.Request, error: CodedError, machine: str = ""
    ) -> web.HTTPException:
        """Return what refuses an agent, and log it: seldom, since agents ask again.

        401 where another certificate would help that the agent may ask for, else 403.
        """
        source = request.remote or ""
        kept = self._rate.admit((machine or source, error.code))
        if kept is not None:
            log.warning(
                "agent refused",
                code=error.code,
                machine=machine,
                source=source,
                cause=error.cause,
                not_logged=kept,
            )
        may_return = isinstance(error, OutdatedCertificateError)
        kind = web.HTTPUnauthorized if may_return else web.HTTPForbidden
        return refusal(kind, error.code, error.cause, error.action)


def _named(connection: ssl.SSLObject | None) -> str:
    """Return the machine that a certificate names, for the log."""
    try:
        found = shown_certificate(connection)
    except TrustError:
        return ""
    return found.agent.machine if found else ""
