"""Who may become an agent: the rules of enrollment.

A token of a boot script or of an identity step is for one machine and one key. A second key that
comes with it is an alarm where it may be the machine's own, because then the first may have been a
stranger's (``reconciler.server.token_reuse``). Any other is refused, and nothing happens to the
machine. Decision 0038 says why.
Tokens of persons are ``reconciler.server.joining``'s.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NoReturn

import structlog

from agent.wire.enrollment import Enrollment, EnrollmentRequest
from providers.netboot.log_rate import LogRate
from reconciler.errors import TrustError
from reconciler.server.certificates import CertificateIssuer, Signed
from reconciler.server.claimed_hardware import ClaimedHardware
from reconciler.server.control_plane import ControlPlane
from reconciler.server.joining import Joining
from reconciler.server.token_reuse import first_may_be_a_stranger
from reconciler.state.faults import OF_TOKENS
from reconciler.state.grants import Token
from reconciler.trust.authority import Authority
from reconciler.trust.token import token_digest
from specs.fleet import CompiledMachine

log = structlog.get_logger(__name__)
_ASK_AGAIN = "Let the machine boot again; a new boot script carries a new token"


class Enroller:
    """Trades tokens for certificates."""

    def __init__(
        self, plane: ControlPlane, authority: Authority, new_serial: Callable[[], int]
    ) -> None:
        self._plane = plane
        self._authority = authority
        self._issuer = CertificateIssuer(plane, authority, new_serial)
        self._joining = Joining(plane)
        self._replays = LogRate()

    def enroll(self, request: EnrollmentRequest, source: str) -> Enrollment:
        """Return the agent's certificate; the token, or one use of it, is used up.

        ``source`` is the address that it is asked from. Raises TrustError: RW540 to RW543 and
        RW517 for tokens of one machine, RW510 to RW518 for those of persons.
        """
        digest = token_digest(request.token)
        token = self._plane.grants.token(digest)
        if token is None and (joining := self._joining.by(digest)) is not None:
            welcome = self._joining.check(request, joining)
            signed = self._issuer.sign(request.csr, welcome.name, "installed", "enrollment")
            self._joining.join(request, joining, welcome, source)
            self._plane.enrolled(signed.record)
            return self._enrollment(signed)
        self._check(request, token, source)
        assert token is not None  # noqa: S101 - `_check` refused it otherwise
        signed = self._issuer.sign(
            request.csr,
            token.machine,
            "installed" if token.environment == "installed" else "deploy-os",
            "enrollment",
        )
        used_by, now = token_digest(request.csr), self._plane.now()
        if not self._plane.grants.use_token(token.digest, used_by, source, now):
            self._alarm(self._plane.grants.token(digest) or token, source)
        self._plane.enrolled(signed.record)
        log.info(
            "agent enrolled", machine=token.machine, environment=token.environment, source=source
        )
        return self._enrollment(signed)

    def _enrollment(self, signed: Signed) -> Enrollment:
        return Enrollment(signed.record.machine, signed.pem, self._authority.authority_pem)

    def _check(self, request: EnrollmentRequest, token: Token | None, source: str) -> None:
        if token is None or token.void or token.environment != request.environment:
            raise TrustError("RW540", "the token is not known", _ASK_AGAIN)
        machine = self._plane.machine_of_token(token)
        claimed = ClaimedHardware.of(request)
        if token.used_by and token.used_by != token_digest(request.csr):
            self._used_before(token, machine, claimed, source)
        if self._plane.now() > token.expires:
            raise TrustError("RW541", "the token has expired", _ASK_AGAIN)
        if machine is None or not _is_of(machine, claimed):
            raise TrustError(
                "RW542",
                f"the token is for {token.machine}, but the hardware is another: "
                f"MACs {', '.join(sorted(claimed.macs)) or 'none'}, UUID {request.uuid or 'none'}",
                "Correct the machine's hardware in the repository",
            )

    def _used_before(
        self, token: Token, machine: CompiledMachine | None, claimed: ClaimedHardware, source: str
    ) -> NoReturn:
        """Refuse a second key; put the machine in quarantine where this may be its own."""
        if machine is None or (
            _is_of(machine, claimed)
            and first_may_be_a_stranger(
                token,
                source,
                is_valid=self._plane.now() <= token.expires,
                is_heard=self._reported_since(machine, token.used_at),
            )
        ):
            self._alarm(token, source)
        cause = f"a used token of {machine.name} was shown again, from {source or 'nowhere'}"
        cause += f"; {token.used_from or 'its agent'}, which used it, goes on as {machine.name}"
        kept = self._replays.admit(machine.name)
        if kept is not None:
            log.warning("used token refused", code="RW517", cause=cause, not_logged=kept)
            faults = self._plane.reconciler.faults
            faults.record(f"{OF_TOKENS}{machine.name}", "RW517", cause, self._plane.now())
        raise TrustError(
            "RW517", "the token was used before", "Let the machine boot again for a new token"
        )

    def _reported_since(self, machine: CompiledMachine, at: datetime | None) -> bool:
        """Return whether an agent reported as the machine, of its hardware, after a time."""
        now = self._plane.now()
        seen = self._plane.machines.seen(machine, self._plane.reconciler.hardware, now)
        reports = [each.at for each in (seen.ramdisk, seen.installed) if each is not None]
        return at is not None and any(at < each for each in reports)

    def _alarm(self, token: Token, source: str) -> NoReturn:
        first = f"first from {token.used_from}, then" if token.used_from else "the second time"
        reason = f"its enrollment token was used twice, {first} from {source}"
        self._plane.quarantine(token, reason)
        log.error("machine quarantined", machine=token.machine, reason=reason)
        raise TrustError(
            "RW543",
            f"the token was used before; {token.machine} is quarantined",
            "Find out who used it, then say `rackwright clear`",
        )


def _is_of(machine: CompiledMachine, claimed: ClaimedHardware) -> bool:
    """Return whether an agent has a MAC of the machine, and no other UUID."""
    return not claimed.macs.isdisjoint(machine.macs) and not claimed.is_other_board(machine)
