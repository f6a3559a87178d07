"""What a machine boots next: ``providers.netboot.decision.BootAuthority`` on the state database.

A boot request is answered before anything else. For a machine without work under way the
answer is the local disk, and needs no look at the database.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from providers.netboot.decision import (
    AskAgain,
    BootAnswer,
    BootRequest,
    EnrollmentCredentials,
    Grant,
    LocalDisk,
    decide,
)
from reconciler.errors import StateError
from reconciler.loop.reconcile import Reconciler
from reconciler.server.control_plane import ControlPlane
from specs.fleet import CompiledMachine

CREDENTIALS_LIFETIME = timedelta(minutes=10)
"""From the boot script to the agent's enrollment."""

log = structlog.get_logger(__name__)


class BootDecisions:
    """Decides by the grants that the reconciler issued, and records every request."""

    def __init__(
        self, plane: ControlPlane, reconciler: Reconciler, clock: Callable[[], datetime]
    ) -> None:
        self._plane = plane
        self._reconciler = reconciler
        self._clock = clock

    def decide(self, request: BootRequest) -> BootAnswer:
        """Record the request, reconcile its machine, and answer by the boot decision.

        Reconciling comes first so that a machine that restarted in the middle of its work
        is granted that work again in this very boot. A request alone proves no restart: while
        the agent may be at work, the boot loader asks again.
        """
        now = self._clock()
        machine = self._reconciler.machine_by_mac(request.mac)
        firmware = request.arch is not None
        boots = self._reconciler.boots
        if machine is None or not self._reconciler.has_work(machine.name):
            answer = decide(request, (), now)
            boots.record(request, now, known=machine is not None, answer=said(answer))
            if machine is not None and firmware:
                self._reconciler.ask(machine.name)
            return answer
        # Recorded before it is decided on: that the firmware runs is what is decided by.
        recorded = boots.record(request, now, known=True, answer=None)
        if firmware:
            self._reconcile(machine)
        answer = self._decide(request, machine)
        boots.answered(recorded, said(answer))
        return answer

    def _decide(self, request: BootRequest, machine: CompiledMachine) -> BootAnswer:
        """Decide by the machine's grants, once no agent may be running on it any more."""
        try:
            unproved = self._reconciler.unproved_restart(machine.name)
        except StateError:
            unproved = ""
        if unproved:
            return AskAgain(unproved)
        return decide(request, self._plane.live_grants(machine.name), self._clock())

    def note(self, request: BootRequest) -> None:
        """Append a file transfer or the like to the boot timeline."""
        known = self._reconciler.machine_by_mac(request.mac) is not None
        self._reconciler.boots.record(replace(request, arch=None), self._clock(), known=known)

    def credentials(self, grant: Grant, address: str = "") -> EnrollmentCredentials | None:
        """Mint the enrollment token of a boot script for an address, while the grant is live."""
        return self._plane.credentials(grant, CREDENTIALS_LIFETIME, address)

    def _reconcile(self, machine: CompiledMachine) -> None:
        """Reconcile now; where that fails the grants of before decide, else the local disk."""
        try:
            self._reconciler.boots.write_of(machine.macs)
            self._reconciler.reconcile(machine.name)
        except StateError as error:
            log.warning(
                "boot not reconciled", machine=machine.name, code=error.code, cause=error.cause
            )
        self._reconciler.ask(machine.name)


def said(answer: BootAnswer) -> str:
    """Return what was decided, for the timeline."""
    if isinstance(answer, LocalDisk):
        return f"local disk: {answer.reason}"
    if isinstance(answer, AskAgain):
        return f"asks again: {answer.reason}"
    return f"Deploy-OS for operation {answer.grant.operation}"
