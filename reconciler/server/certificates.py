"""Certificates after enrollment: renewal by an agent that is known, return of one that was away."""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import structlog
from aiohttp import web
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from agent.wire.renewal import RenewalRequest, RenewedCertificate, ReturnAnswer, ReturnQuestion
from providers.netboot.log_rate import LogRate
from reconciler.errors import TrustError
from reconciler.server.agent_requests import answer, body_of
from reconciler.server.authentication import NEW_TOKEN, Authentication
from reconciler.server.connection_limits import UNAUTHENTICATED_BODY
from reconciler.server.control_plane import ControlPlane
from reconciler.server.reported_hardware import contradiction
from reconciler.state.certificates import IssuedCertificate, Origin
from reconciler.trust.authority import Authority
from reconciler.trust.identity import Environment
from reconciler.trust.signing_request import requested_key
from reconciler.trust.tls import AgentCertificate, agent_certificate, public_key_digest

SPREAD_AFTER_ROLLOVER = timedelta(days=1)
"""Over which agents are given certificates of a new key: a fleet does not come in one minute."""
_SPREAD = 24
"""A renewal is due within a 24th of the certificate's life after two thirds of it."""

log = structlog.get_logger(__name__)


class Signed(NamedTuple):
    """A new certificate, and what is to be kept of it."""

    pem: str
    record: IssuedCertificate


class CertificateIssuer:
    """Signs agents' certificates."""

    def __init__(
        self, plane: ControlPlane, authority: Authority, new_serial: Callable[[], int]
    ) -> None:
        self._plane = plane
        self._authority = authority
        self._new_serial = new_serial

    def sign(self, csr: str, machine: str, environment: Environment, origin: Origin) -> Signed:
        """Return a certificate; it is to be recorded before it is handed out."""
        now = self._plane.now()
        pem = self._authority.sign_agent(csr, machine, environment, now, self._new_serial())
        made = agent_certificate(x509.load_pem_x509_certificate(pem.encode()))
        record = IssuedCertificate(
            serial=made.serial,
            machine=machine,
            environment=environment,
            key=made.key,
            authority_key=made.authority_key,
            origin=origin,
            issued=now,
            expires=made.expires,
        )
        return Signed(pem, record)

    def renewed(self, csr: str, machine: str, origin: Origin) -> RenewedCertificate:
        """Return a recorded certificate for the agent of an installed system."""
        signed = self.sign(csr, machine, "installed", origin)
        self._plane.certificates.record(signed.record)
        return RenewedCertificate(signed.pem, self._authority.authority_pem)


def is_renewal_due(certificate: AgentCertificate, authority: Authority, now: datetime) -> bool:
    """Return whether an installed agent should ask for a new certificate now.

    At two thirds of its life, or once the authority has another key; each agent has its own
    moment within a while after that.
    """
    share = _share(certificate.serial)
    life = certificate.expires - certificate.issued
    if now >= certificate.issued + life * 2 / 3 + life / _SPREAD * share:
        return True
    is_of_earlier_key = certificate.authority_key != authority.key_id
    return is_of_earlier_key and now >= authority.since + SPREAD_AFTER_ROLLOVER * share


def _share(serial: str) -> float:
    """Return a number from 0 up to 1 that is a certificate's own."""
    return int.from_bytes(sha256(serial.encode()).digest()[:4]) / 2**32


def proved_certificate(question: ReturnQuestion, authority: Authority) -> AgentCertificate:
    """Return the certificate of an agent that asks to come back.

    TrustError RW522 unless it is of an installed system, a key of this authority signed it, and
    its own key signed the request; RW505 and RW506 for a malformed request.
    """
    try:
        certificate = x509.load_pem_x509_certificate(question.certificate.encode())
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _not_ours("its certificate cannot be parsed") from error
    if not authority.has_signed(certificate):
        raise _not_ours("its certificate is by another authority")
    found = agent_certificate(certificate)
    if found.agent.environment != "installed":
        raise _not_ours("its certificate is of the Deploy-OS, where a boot gives a new token")
    if public_key_digest(requested_key(question.csr)) != found.key:
        raise _not_ours("its request is signed by another key than its certificate's")
    return found


class CertificateApi:
    """The routes by which an agent that was enrolled gets further certificates."""

    def __init__(
        self,
        plane: ControlPlane,
        authority: Authority,
        authentication: Authentication,
        issuer: CertificateIssuer,
    ) -> None:
        self._plane = plane
        self._authority = authority
        self._authentication = authentication
        self._issuer = issuer
        self._rate = LogRate()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for an aiohttp application."""
        return [
            web.post("/v1/renew", self.renew),
            web.post("/v1/return", self.come_back),
        ]

    async def renew(self, request: web.Request) -> web.Response:
        """Give an installed agent that is let in a certificate for another key."""
        peer = self._authentication.agent(request, "installed")
        body = await body_of(request, RenewalRequest, UNAUTHENTICATED_BODY)
        try:
            renewed = self._issuer.renewed(body.csr, peer.machine, "renewal")
        except TrustError as error:
            raise self._authentication.refused(request, error, peer.machine) from error
        log.info("agent renewed its certificate", machine=peer.machine)
        return answer(renewed)

    async def come_back(self, request: web.Request) -> web.Response:
        """Let an agent ask to come back whose certificate is accepted no more.

        Its request is signed by the key of that certificate, which it thereby proves to have. A
        request that somebody else repeats gets a certificate that only that key can use.
        """
        body = await body_of(request, ReturnQuestion, UNAUTHENTICATED_BODY)
        machine = ""
        try:
            certificate = proved_certificate(body, self._authority)
            machine = certificate.agent.machine
            record = self._authentication.record(certificate)
            if record.revoked_at is not None:
                raise self._authentication.revoked(record)
            waits = self._why_waits(certificate, record, body, request.remote or "")
            if waits:
                return answer(ReturnAnswer("", "", waits))
            renewed = self._issuer.renewed(body.csr, machine, "return")
        except TrustError as error:
            raise self._authentication.refused(request, error, machine) from error
        log.info("agent is back", machine=machine, source=request.remote)
        return answer(ReturnAnswer(renewed.certificate, renewed.authority, ""))

    def _why_waits(
        self,
        certificate: AgentCertificate,
        record: IssuedCertificate,
        body: ReturnQuestion,
        source: str,
    ) -> str:
        """Return why the agent has to wait for a person, as a clause; empty where it may return."""
        if self._is_let_in(certificate):
            return ""  # its answer got lost, or it asks too early
        why = self._why_no_rule(certificate, record, body)
        if not why:
            return ""
        now, certificates = self._plane.now(), self._plane.certificates
        asked = certificates.ask_to_return(record, now, source, why)
        if asked.accepted_at is not None:
            log.info("agent was accepted", machine=record.machine, actor=asked.actor)
            return ""
        kept = self._rate.admit(record.serial)
        if kept is not None:
            log.warning(
                "agent asks to come back",
                code="RW523",
                machine=record.machine,
                source=source,
                why=why,
                not_logged=kept,
            )
        return why

    def _is_let_in(self, certificate: AgentCertificate) -> bool:
        is_accepted = certificate.authority_key in self._authority.accepted_key_ids
        return is_accepted and self._plane.now() <= certificate.expires

    def _why_no_rule(
        self, certificate: AgentCertificate, record: IssuedCertificate, body: ReturnQuestion
    ) -> str:
        """Return why the fleet's rule does not let the agent in, as a clause; empty where it does.

        The rule is about agents that were merely away: whatever could be a copy or a forgery is
        for a person to judge.
        """
        plane, now = self._plane, self._plane.now()
        within = timedelta(seconds=plane.reconciler.fleet.settings.agent_return_seconds)
        away = now - certificate.expires
        if not within:
            return "the fleet has no rule for agents that were away (spec.agents.returnWithin)"
        if away > within:
            return f"its certificate expired {away.days} days ago, the rule allows {within.days}"
        if record.origin == "seen":
            return "no record has its certificate"
        newer = next(
            (
                each
                for each in plane.certificates.of_machine(record.machine)
                if each.issued > record.issued and each.used_at is not None
            ),
            None,
        )
        if newer is not None:
            return f"a newer certificate of this name was in use on {newer.used_at:%Y-%m-%d}"
        machine = plane.machine_of_agent(record.machine)
        if machine is None:
            return "no document of the fleet is about its machine"
        foreign = contradiction(machine, plane.reconciler.hardware, body.hardware)
        if foreign:
            return f"it is on other hardware: {foreign}"
        if plane.machines.quarantine(machine.name, machine.hardware_identities):
            return "its machine is quarantined"
        return ""


def _not_ours(reason: str) -> TrustError:
    return TrustError("RW522", f"an agent cannot come back: {reason}", NEW_TOKEN)
