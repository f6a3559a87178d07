"""Who may become an agent: the rules of enrollment."""

from collections.abc import Callable

import structlog

from agent.wire.enrollment import Enrollment, EnrollmentRequest
from reconciler.errors import TrustError
from reconciler.server.control_plane import ControlPlane
from reconciler.state.grants import Token
from reconciler.trust.authority import Authority
from reconciler.trust.token import token_digest
from specs.types.hardware_uuid import both_orders

log = structlog.get_logger(__name__)
_ASK_AGAIN = "Let the machine boot again; a new boot script carries a new token"


class Enroller:
    """Trades tokens for certificates."""

    def __init__(
        self, plane: ControlPlane, authority: Authority, new_serial: Callable[[], int]
    ) -> None:
        self._plane = plane
        self._authority = authority
        self._new_serial = new_serial

    def enroll(self, request: EnrollmentRequest, source: str) -> Enrollment:
        """Return the machine's certificate; the token is used up.

        A token that comes a second time was seen by somebody else: the machine is
        quarantined. Raises TrustError RW540 to RW543.
        """
        token = self._plane.grants.token(token_digest(request.token))
        self._check(request, token, source)
        assert token is not None  # noqa: S101 - `_check` refused it otherwise
        now = self._plane.now()
        certificate = self._authority.sign_agent(
            request.csr,
            token.machine,
            "installed" if token.environment == "installed" else "deploy-os",
            now,
            self._new_serial(),
        )
        if not self._plane.grants.use_token(token.digest, token_digest(request.csr), now):
            self._alarm(token, source)
        log.info(
            "agent enrolled", machine=token.machine, environment=token.environment, source=source
        )
        return Enrollment(
            machine=token.machine,
            certificate=certificate,
            authority=self._authority.authority_pem,
        )

    def _check(self, request: EnrollmentRequest, token: Token | None, source: str) -> None:
        if token is None or token.void or token.environment != request.environment:
            raise TrustError("RW540", "the token is not known", _ASK_AGAIN)
        if token.used_by and token.used_by != token_digest(request.csr):
            self._alarm(token, source)
        if self._plane.now() > token.expires:
            raise TrustError("RW541", "the token has expired", _ASK_AGAIN)
        machine = self._plane.machine_of_token(token)
        macs = {mac.lower() for mac in request.macs}
        orders = both_orders(request.uuid)
        contradicts = (
            machine is None
            or not macs & set(machine.macs)
            or (machine.uuid and orders and machine.uuid not in orders)
        )
        if contradicts:
            raise TrustError(
                "RW542",
                f"the token is for {token.machine}, but the hardware is another: "
                f"MACs {', '.join(sorted(macs)) or 'none'}, UUID {request.uuid or 'none'}",
                "Correct the machine's hardware in the repository",
            )

    def _alarm(self, token: Token, source: str) -> None:
        reason = f"its enrollment token was used twice, the second time from {source}"
        self._plane.quarantine(token, reason)
        log.error("machine quarantined", machine=token.machine, reason=reason)
        raise TrustError(
            "RW543",
            f"the token was used before; {token.machine} is quarantined",
            "Find out who used it, then say `rackwright clear`",
        )
