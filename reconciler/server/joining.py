"""Agents of systems that were not installed here: they join by a token that a person made.

Hardware that a document names becomes the agent of that machine. Hardware that none names gets a
name of its own, may say how it is, and gets no work.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import structlog

from agent.wire.enrollment import EnrollmentRequest
from reconciler.errors import TrustError
from reconciler.server.claimed_hardware import ClaimedHardware
from reconciler.server.control_plane import ControlPlane
from reconciler.state.join_tokens import Join, JoinToken
from reconciler.state.observed import CONTACT_MAX_AGE, is_fresh
from reconciler.trust.token import token_digest
from specs.diagnostics.quote import counted
from specs.fleet import CompiledMachine

log = structlog.get_logger(__name__)
_ASK_FOR_ONE = "Ask for a new one: `rackwright agent token new`"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Welcome:
    """Whose agent a joining one is."""

    name: str
    """The name for its certificate."""
    identities: tuple[str, ...]
    """The hardware that the certificate is for."""
    machine: CompiledMachine | None
    """None where no document has it."""


class Joining:
    """Decides who may join, and writes down who did."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._tokens = plane.join_tokens

    def by(self, digest: str) -> JoinToken | None:
        """Return the token that a person made with this hash."""
        return self._tokens.of_digest(digest)

    def check(self, request: EnrollmentRequest, token: JoinToken) -> Welcome:
        """Return whose agent it is to be.

        Raises TrustError RW510 to RW516 and RW518.
        """
        if request.environment != "installed":
            raise TrustError(
                "RW518",
                f"token {token.token_id} is for installed systems, not for the Deploy-OS",
                "Let the machine boot over the network: its boot script carries a token",
            )
        used_by = token_digest(request.csr)
        is_again = self._tokens.has_joined(token.token_id, used_by)
        if (
            token.revoked_at is not None
            or self._plane.now() > token.expires
            or not (token.left or is_again)
        ):
            self._refuse(token)
        claimed = ClaimedHardware.of(request)
        if not claimed.identities:
            raise TrustError(
                "RW515",
                "the machine has no NIC with a MAC address and no UUID of its own",
                "See what `rackwright-agent` finds of the hardware; run it where the NICs are",
            )
        machine = self._machine(claimed)
        if machine is None:
            return Welcome(self._plane.discovered.name_of(claimed), claimed.identities, None)
        if not is_again:
            self._refuse_displacing(machine)
        return Welcome(machine.name, machine.hardware_identities, machine)

    def join(
        self, request: EnrollmentRequest, token: JoinToken, welcome: Welcome, source: str
    ) -> None:
        """Use the token once; TrustError RW510, RW511 where others were quicker."""
        used_by, now = token_digest(request.csr), self._plane.now()
        new = Join(token.token_id, used_by, welcome.name, welcome.identities, source, now)
        if not self._tokens.join(new):
            self._refuse(self._tokens.of_id(token.token_id) or token)
        if welcome.machine is None:
            self._plane.discovered.enrolled(new, request)
        log.info(
            "agent joined",
            machine=welcome.name,
            token=token.token_id,
            made_by=token.actor,
            source=source,
            in_a_document=welcome.machine is not None,
        )

    def _refuse(self, token: JoinToken) -> NoReturn:
        if token.revoked_at is not None:
            raise TrustError(
                "RW510", f"token {token.token_id} was revoked by {token.revoked_by}", _ASK_FOR_ONE
            )
        if self._plane.now() > token.expires:
            raise TrustError("RW512", f"token {token.token_id} has expired", _ASK_FOR_ONE)
        uses = counted(token.uses, "use")
        raise TrustError(
            "RW511", f"token {token.token_id} had {uses}, and none is left", _ASK_FOR_ONE
        )

    def _machine(self, claimed: ClaimedHardware) -> CompiledMachine | None:
        """Return the machine whose document names the hardware; None where none does."""
        hardware = self._plane.reconciler.hardware
        owners = {
            name: each for each in reversed(claimed.identities) for name in hardware.holders(each)
        }
        if len(owners) > 1:
            named = [f"{owners[name]} is {name}'s" for name in sorted(owners)[:_MOST_NAMED]]
            raise TrustError(
                "RW513",
                f"the hardware is that of several machines: {', '.join(named)}",
                "Correct spec.hardware of these machines: each NIC and board is in one document",
            )
        if not owners:
            self._refuse_former(claimed)
            return None
        (name,) = owners
        machine = self._plane.reconciler.fleet.machines[name]
        if claimed.is_other_board(machine):
            raise TrustError(
                "RW514",
                f"{owners[name]} is {name}'s, but the UUID {claimed.uuids[0]} is not: its document "
                f"has {machine.uuid}",
                f"Correct spec.hardware of {name}, or take the card out",
            )
        return machine

    def _refuse_former(self, claimed: ClaimedHardware) -> None:
        """Refuse hardware that is somebody's history: it would be taken for that machine."""
        for identity in claimed.identities:
            for name in self._plane.reconciler.hardware.claimants(identity):
                raise TrustError(
                    "RW514",
                    f"{identity} was {name}'s formerly, and no document has it now",
                    f"Write it into spec.hardware of its machine; if that is not {name}, take it "
                    f"out of spec.hardware.formerly there",
                )

    def _refuse_displacing(self, machine: CompiledMachine) -> None:
        """Refuse to take a machine from an agent that is heard as it."""
        if self._is_heard(machine) or self._plane.at_work(machine.name) is not None:
            seconds = int(CONTACT_MAX_AGE / timedelta(seconds=1))
            raise TrustError(
                "RW516",
                f"another agent is heard as {machine.name} now",
                f"If that is this machine, stop the agent there and try again after {seconds} s; "
                "else find out who has its key",
            )

    def _is_heard(self, machine: CompiledMachine) -> bool:
        """Return whether an agent of the machine asked for work, or reported, just now."""
        now = self._plane.now()
        seen = self._plane.machines.seen(machine, self._plane.reconciler.hardware, now)
        reports = (each.at for each in (seen.ramdisk, seen.installed) if each is not None)
        heard = (seen.ramdisk_contact, seen.installed_contact, *reports)
        return any(at is not None and is_fresh(at, now, CONTACT_MAX_AGE) for at in heard)
