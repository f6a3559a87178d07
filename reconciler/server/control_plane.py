"""The control plane's state in one place: what is wanted, what is known, what may happen.

All methods are short, synchronous and called from one event loop's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import evolve

from agent.wire.step import ApplyIdentity
from agent.wire.work import Work
from providers.netboot.decision import (
    BootAnswer,
    BootRequest,
    EnrollmentCredentials,
    Grant,
    decide,
)
from reconciler.loop.follow_up import GRANT_LIFETIME, Arm, Decision, End, follow_up
from reconciler.state.captures import Captures
from reconciler.state.grants import Grants, Token
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.observations import Observations
from reconciler.state.observe import observe
from reconciler.state.observed import Observed, ObservedImage
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import OperationState
from reconciler.trust import token as trust_token

if TYPE_CHECKING:
    from reconciler.state.database import Database
    from specs.fleet import CompiledFleet, CompiledMachine

CREDENTIALS_LIFETIME = timedelta(minutes=10)
"""From the boot script to the agent's enrollment."""
INSTALLED_TOKEN_LIFETIME = timedelta(hours=4)
"""From the hand-out of the work to the installed agent's first start: a restore lies between."""
SERVER = "server"
"""The actor of ledger lines that no person caused."""


@dataclass(frozen=True, slots=True)
class AgentEndpoint:
    """Where agents find the server: base URL and certificate pin."""

    url: str
    pin: str


class ControlPlane:
    """State database and desired state, and the rules of what may be handed out."""

    def __init__(
        self,
        database: "Database",
        desired: "CompiledFleet",
        endpoint: AgentEndpoint,
        images: Callable[[], dict[str, ObservedImage]],
        clock: Callable[[], datetime],
    ) -> None:
        self.ledger = Ledger(database)
        self.observations = Observations(database)
        self.grants = Grants(database)
        self.captures = Captures(database)
        self._set_desired(desired)
        self._database = database
        self._endpoint = endpoint
        self._images = images
        self._clock = clock
        self._rebooted: set[tuple[str, int]] = set()
        self.wake: Callable[[], None] = lambda: None
        """Called when something happened that the reconcile loop should look at."""

    def now(self) -> datetime:
        """Return the time by the injected clock."""
        return self._clock()

    @property
    def desired(self) -> "CompiledFleet":
        """The fleet as Git wants it."""
        return self._desired

    @desired.setter
    def desired(self, fleet: "CompiledFleet") -> None:
        self._set_desired(fleet)

    def _set_desired(self, fleet: "CompiledFleet") -> None:
        self._desired = fleet
        self._hardware = FleetHardware(fleet.machines.values())
        self._by_mac = {mac: machine for machine in fleet.machines.values() for mac in machine.macs}

    @property
    def hardware(self) -> FleetHardware:
        """The hardware of the desired machines."""
        return self._hardware

    def observed(self) -> Observed:
        """Return all that is known now."""
        machines = self.desired.machines.values()
        return observe(self._database, machines, self._images(), self.now(), self._hardware)

    def machine_by_mac(self, mac: str) -> "CompiledMachine | None":
        """Return the machine of the fleet that has this NIC."""
        return self._by_mac.get(mac)

    def machine_of(self, operation: Operation) -> "CompiledMachine | None":
        """Return the machine whose hardware an operation is for, whatever it is called now."""
        owner = self._hardware.owner(operation.identities)
        return self.desired.machines[owner] if owner is not None else None

    def machine_of_agent(self, name: str) -> "CompiledMachine | None":
        """Return the machine whose agent has a certificate for ``name``.

        The name is that of its enrollment; the machine may have got another since.
        """
        token = self.grants.last_enrolled(name)
        return self.desired.machines.get(name) if token is None else self.machine_of_token(token)

    def machine_of_token(self, token: Token) -> "CompiledMachine | None":
        """Return the machine that a token is for: that of its operation."""
        status = self._status(token.operation)
        return self.machine_of(status.operation) if status is not None else None

    def bar(self, token: Token, reason: str) -> None:
        """Quarantine the machine that a token is for."""
        status = self._status(token.operation)
        identities = status.operation.identities if status else (f"name:{token.machine}",)
        self.observations.set_quarantine(token.machine, identities, reason, self.now())

    def _is_for(self, status: OperationStatus, agent: str) -> bool:
        """Return whether an operation is for the machine of an agent."""
        machine = self.machine_of_agent(agent)
        if machine is None:
            # The fleet let go of the machine while it was at work: it may finish that.
            return status.operation.machine == agent
        return self.machine_of(status.operation) is machine

    # --- netboot -----------------------------------------------------------------

    def decide(self, request: BootRequest) -> BootAnswer:
        """Record the request, reconcile, and answer by the boot decision.

        Reconciling comes first so that a machine that restarted in the middle of its work
        is granted that work again in this very boot.
        """
        now = self.now()
        machine = self.machine_by_mac(request.mac)
        event = self.observations.record_boot(request, now, machine)
        if request.arch is not None and machine is not None:
            # The firmware runs, so no agent does.
            self.observations.forget_contact(machine)
            self.reconcile()
        grants = (
            self._live_grants(lambda status: self.machine_of(status.operation) is machine)
            if machine is not None
            else ()
        )
        answer = decide(request, grants, now)
        self.observations.record_answer(event, answer)
        self.wake()
        return answer

    def _live_grants(self, wanted: Callable[[OperationStatus], bool]) -> tuple[Grant, ...]:
        armed = {
            status.operation.op_id: status.attempt
            for status in self.ledger.under_way()
            if status.state is OperationState.ARMED
            and wanted(status)
            and not self._barred(status.operation)
        }
        return self.grants.unclaimed(armed)

    def _barred(self, operation: Operation) -> bool:
        machine = self.machine_of(operation)
        names = (machine.name, machine.hardware_identities) if machine else (operation.machine, ())
        return bool(self.observations.quarantine(names[0], (*operation.identities, *names[1])))

    def note(self, request: BootRequest) -> None:
        """Append a file transfer or the like to the boot timeline."""
        machine = self.machine_by_mac(request.mac)
        self.observations.record_boot(replace(request, arch=None), self.now(), machine)

    def credentials(self, grant: Grant) -> EnrollmentCredentials | None:
        """Mint the enrollment token of a boot script, while the grant is live."""
        status = self._status(grant.operation)
        if (
            status is None
            or status.state is not OperationState.ARMED
            or status.attempt != grant.attempt
        ):
            return None
        text = self._mint(status, "deploy-os", CREDENTIALS_LIFETIME)
        return EnrollmentCredentials(server=self._endpoint.url, pin=self._endpoint.pin, token=text)

    # --- work --------------------------------------------------------------------

    def reconcile(self) -> tuple[Decision, ...]:
        """Bring every operation one step on; return what needs the outside world."""
        now = self.now()
        outside: list[Decision] = []
        for decision in follow_up(self.desired, self.observed(), now, self._hardware):
            match decision:
                case Arm(status, attempt, reason):
                    self._arm(status, attempt, reason, now)
                case End(status, state, reason):
                    self.ledger.move(
                        status.operation.op_id,
                        status.state,
                        state,
                        attempt=status.attempt,
                        at=now,
                        actor=SERVER,
                        reason=reason,
                    )
                case _:
                    outside.append(decision)
        return tuple(outside)

    def _arm(self, status: OperationStatus, attempt: int, reason: str, now: datetime) -> None:
        operation = status.operation
        grant = Grant(
            operation=operation.op_id,
            attempt=attempt,
            machine=operation.machine,
            macs=operation.macs,
            uuid=operation.uuid,
            expires=now + GRANT_LIFETIME,
        )
        with self._database.writing() as connection:
            self.ledger.move_within(
                connection,
                operation.op_id,
                status.state,
                OperationState.ARMED,
                attempt=attempt,
                at=now,
                actor=SERVER,
                reason=reason,
            )
            self.grants.issue_within(connection, grant)

    def work(self, machine: str) -> Work | None:
        """Return the armed work of a machine whose agent waits in RAM, secrets filled in."""
        for grant in self._live_grants(lambda status: self._is_for(status, machine)):
            status = self._status(grant.operation)
            if status is not None:
                steps = tuple(
                    self._with_secrets(status, step) if isinstance(step, ApplyIdentity) else step
                    for step in status.operation.steps
                )
                return Work(grant.operation, grant.attempt, steps)
        return None

    def reboot_wanted(self, machine: str) -> OperationStatus | None:
        """Return the armed operation for which the installed system has to restart.

        Once per attempt: a machine that comes back from its own disk, because it does
        not boot over the network first, is not sent round in circles.
        """
        for grant in self._live_grants(lambda status: self._is_for(status, machine)):
            if (grant.operation, grant.attempt) not in self._rebooted:
                return self._status(grant.operation)
        return None

    def claim_reboot(self, machine: str, attempt: int) -> bool:
        """Let the installed system restart now, once for this attempt."""
        status = self.reboot_wanted(machine)
        if status is None or status.attempt != attempt:
            return False
        self._rebooted.add((status.operation.op_id, attempt))
        return True

    def claim(self, machine: str, op_id: str, attempt: int) -> bool:
        """Use the grant up and record the start, both or neither; False when it is gone."""
        now = self.now()
        status = self._status(op_id)
        if status is None or not self._is_for(status, machine) or status.attempt != attempt:
            return False
        if status.state is OperationState.STARTED:
            # The answer to the claim got lost; whoever asks again has done nothing yet.
            return status.last_event_at is None
        if status.state is not OperationState.ARMED or self._barred(status.operation):
            return False
        with self._database.writing() as connection:
            if not self.grants.claim_within(connection, op_id, attempt, now):
                return False
            self.ledger.move_within(
                connection,
                op_id,
                OperationState.ARMED,
                OperationState.STARTED,
                attempt=attempt,
                at=now,
                actor=machine,
                reason="the agent claimed the grant",
            )
        return True

    def started(self, machine: str, op_id: str, attempt: int) -> OperationStatus | None:
        """Return the operation if this machine is at work on it in this very attempt."""
        status = self._status(op_id)
        if (
            status is None
            or not self._is_for(status, machine)
            or status.state is not OperationState.STARTED
            or status.attempt != attempt
        ):
            return None
        return status

    def fail(self, status: OperationStatus, reason: str, actor: str) -> None:
        """Record that an operation failed for good."""
        self.ledger.move(
            status.operation.op_id,
            status.state,
            OperationState.FAILED,
            attempt=status.attempt,
            at=self.now(),
            actor=actor,
            reason=reason,
        )

    def at_work(self, machine: str) -> OperationStatus | None:
        """Return the operation that this machine has started, if any."""
        return next(
            (
                status
                for status in self.ledger.under_way()
                if status.state is OperationState.STARTED
                and not status.steps_done
                and self._is_for(status, machine)
            ),
            None,
        )

    def _with_secrets(self, status: OperationStatus, step: ApplyIdentity) -> ApplyIdentity:
        return evolve(
            step,
            server=self._endpoint.url,
            pin=self._endpoint.pin,
            agent_token=self._mint(status, "installed", INSTALLED_TOKEN_LIFETIME),
            operation=status.operation.op_id,
        )

    def _mint(self, status: OperationStatus, environment: str, lifetime: timedelta) -> str:
        token = trust_token.mint()
        self.grants.store_token(
            Token(
                digest=token.digest,
                operation=status.operation.op_id,
                attempt=status.attempt,
                machine=status.operation.machine,
                environment=environment,
                expires=self.now() + lifetime,
            )
        )
        return token.text

    def _status(self, op_id: str) -> OperationStatus | None:
        return next(iter(self.ledger.operations(op_id=op_id)), None)
