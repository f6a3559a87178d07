"""What may be handed out to agents and firmware: grants, tokens, work. All of it is short.

All methods are synchronous and called from one event loop's thread.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from attrs import evolve

from agent.wire.step import ApplyIdentity, Finish, Restore
from agent.wire.work import TimeLimit, Work
from providers.netboot.decision import EnrollmentCredentials, Grant
from reconciler.loop.reconcile import Reconciler
from reconciler.state.captures import Captures
from reconciler.state.database import Database
from reconciler.state.grants import Token
from reconciler.state.operation import Instructions, Operation, OperationStatus
from reconciler.state.operation_states import OperationState
from reconciler.trust.token import new_token, token_digest
from specs.fleet import CompiledMachine

INSTALLED_TOKEN_LIFETIME = timedelta(hours=4)
"""From the hand-out of the work to the installed agent's first start: a restore lies between."""

_AGENT_FIRST = 30
"""Seconds before the server's own limit at which the agent, which knows why, ends the work."""


@dataclass(frozen=True, slots=True)
class AgentEndpoint:
    """Where agents find the server: base URL and certificate pin."""

    url: str
    pin: str


class ControlPlane:
    """The rules of what an agent may have and do, on what the reconciler decided."""

    def __init__(
        self,
        database: Database,
        reconciler: Reconciler,
        endpoint: AgentEndpoint,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self.reconciler = reconciler
        self.ledger = reconciler.ledger
        self.machines = reconciler.machines
        self.grants = reconciler.grants
        self.captures = Captures(database)
        self._endpoint = endpoint
        self._clock = clock
        self._rebooted: dict[str, int] = {}
        """By operation, the attempt for which the installed system was asked to restart."""

    def now(self) -> datetime:
        """Return the time by the injected clock."""
        return self._clock()

    # --- whose agent it is -------------------------------------------------------

    def machine_of_agent(self, name: str) -> CompiledMachine | None:
        """Return the machine whose agent has a certificate for ``name``.

        The name is that of its enrollment; the machine may have got another since.
        """
        token = self.grants.last_enrolled(name)
        if token is None:
            return self.reconciler.fleet.machines.get(name)
        return self.machine_of_token(token)

    def machine_of_token(self, token: Token) -> CompiledMachine | None:
        """Return the machine that a token is for: that of its operation."""
        status = self._status(token.operation)
        return self.reconciler.machine_of(status.operation) if status is not None else None

    def quarantine(self, token: Token, reason: str) -> None:
        """Quarantine the machine that a token is for."""
        status = self._status(token.operation)
        identities = status.operation.identities if status else (f"name:{token.machine}",)
        self.machines.set_quarantine(token.machine, identities, reason, self.now())

    def key_of_agent(self, name: str) -> str:
        """Return the key of an agent's machine: what its work is found and signalled by.

        A machine that the fleet let go of while it was at work may finish that.
        """
        machine = self.machine_of_agent(name)
        if machine is not None:
            return machine.name
        reconciler = self.reconciler
        for key in reconciler.keys_at_work():
            if key not in reconciler.fleet.machines and any(
                each.operation.machine == name for each in reconciler.work_of(key)
            ):
                return key
        return f"agent:{name}"

    # --- grants and work ---------------------------------------------------------

    def live_grants(self, key: str) -> tuple[Grant, ...]:
        """Return the unclaimed grants of a machine's armed work; none in quarantine."""
        armed = {
            status.operation.op_id: status.attempt
            for status in self.reconciler.work_of(key)
            if status.state is OperationState.ARMED and not self._is_quarantined(status)
        }
        return self.grants.unclaimed(armed) if armed else ()

    def _is_quarantined(self, status: OperationStatus) -> bool:
        operation = status.operation
        machine = self.reconciler.machine_of(operation)
        name = machine.name if machine else operation.machine
        known = machine.hardware_identities if machine else ()
        return bool(self.machines.quarantine(name, (*operation.identities, *known)))

    def credentials(self, grant: Grant, lifetime: timedelta) -> EnrollmentCredentials | None:
        """Mint the enrollment token of a boot script, while the grant is live."""
        status = self._status(grant.operation)
        if (
            status is None
            or status.state is not OperationState.ARMED
            or status.attempt != grant.attempt
        ):
            return None
        text = self._mint(status, "deploy-os", lifetime)
        return EnrollmentCredentials(server=self._endpoint.url, pin=self._endpoint.pin, token=text)

    def work(self, key: str) -> Work | None:
        """Return the armed work of a machine whose agent waits in RAM, secrets filled in."""
        for grant in self.live_grants(key):
            status = self._status(grant.operation)
            if status is not None:
                steps = tuple(
                    self._with_secrets(status, step) if isinstance(step, ApplyIdentity) else step
                    for step in status.operation.instructions.steps
                )
                instructions = status.operation.instructions
                return Work(
                    grant.operation,
                    grant.attempt,
                    steps,
                    limits=(*instructions.limits, *_whole_limit(instructions)),
                    on_error=instructions.on_error,
                    disks_written=self._may_be_written(status.operation),
                )
        return None

    def _may_be_written(self, operation: Operation) -> bool:
        """Return whether an earlier attempt may have begun to write to a disk."""
        furthest = self.reconciler.operations.furthest_steps([operation.op_id])
        writes = (
            index
            for index, step in enumerate(operation.instructions.steps)
            if isinstance(step, Restore)
        )
        return furthest.get(operation.op_id, -1) >= next(writes, sys.maxsize)

    def reboot_wanted(self, key: str) -> OperationStatus | None:
        """Return the armed operation for which the installed system has to restart.

        Once per attempt: a machine that comes back from its own disk, because it does
        not boot over the network first, is not sent round in circles.
        """
        for grant in self.live_grants(key):
            if self._rebooted.get(grant.operation, 0) < grant.attempt:
                return self._status(grant.operation)
        return None

    def claim_reboot(self, key: str, attempt: int) -> bool:
        """Let the installed system restart now, once for this attempt."""
        status = self.reboot_wanted(key)
        if status is None or status.attempt != attempt:
            return False
        if self.reconciler.why_not_now(status.operation):
            return False
        self._rebooted[status.operation.op_id] = attempt
        return True

    def claim(self, key: str, op_id: str, attempt: int) -> bool:
        """Use the grant up and record the start, both or neither; False when it is gone."""
        status = self._status(op_id)
        if status is None or not self._is_of(status, key) or status.attempt != attempt:
            return False
        if status.state is OperationState.STARTED:
            # The answer to the claim got lost; whoever asks again has done nothing yet.
            return status.last_event_at is None
        if status.state is not OperationState.ARMED or self._is_quarantined(status):
            return False
        now = self.now()
        with self._database.writing() as connection:  # nobody accepts a commit meanwhile
            if self.reconciler.why_not_now(status.operation):
                return False
            if not self.grants.claim_within(connection, op_id, attempt, now):
                return False
            self.ledger.move_within(
                connection,
                op_id,
                OperationState.ARMED,
                OperationState.STARTED,
                attempt=attempt,
                at=now,
                actor=status.operation.machine,
                reason="the agent claimed the grant",
            )
        self._rebooted.pop(op_id, None)
        return True

    def started(self, key: str, op_id: str, attempt: int) -> OperationStatus | None:
        """Return the operation if this machine is at work on it in this very attempt."""
        status = self._status(op_id)
        if (
            status is None
            or not self._is_of(status, key)
            or status.state is not OperationState.STARTED
            or status.attempt != attempt
        ):
            return None
        return status

    def own_operation(self, key: str, op_id: str) -> OperationStatus | None:
        """Return the operation if it is this machine's, whatever its state."""
        status = self._status(op_id)
        return status if status is not None and self._is_of(status, key) else None

    def at_work(self, key: str) -> OperationStatus | None:
        """Return the operation that this machine has started, if any."""
        return next(
            (
                status
                for status in self.reconciler.work_of(key)
                if status.state is OperationState.STARTED and not status.steps_done
            ),
            None,
        )

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
        self.reconciler.ended(status.operation)

    def _is_of(self, status: OperationStatus, key: str) -> bool:
        return self.reconciler.key_of(status.operation) == key

    def _with_secrets(self, status: OperationStatus, step: ApplyIdentity) -> ApplyIdentity:
        return evolve(
            step,
            server=self._endpoint.url,
            pin=self._endpoint.pin,
            agent_token=self._mint(status, "installed", INSTALLED_TOKEN_LIFETIME),
            operation=status.operation.op_id,
        )

    def _mint(self, status: OperationStatus, environment: str, lifetime: timedelta) -> str:
        token = new_token()
        self.grants.store_token(
            Token(
                digest=token_digest(token),
                operation=status.operation.op_id,
                attempt=status.attempt,
                machine=status.operation.machine,
                environment=environment,
                expires=self.now() + lifetime,
            )
        )
        return token

    def _status(self, op_id: str) -> OperationStatus | None:
        return next(iter(self.ledger.operations(op_id=op_id)), None)


def _whole_limit(instructions: Instructions) -> tuple[TimeLimit, ...]:
    """Return the time limit for all steps together, as the agent has it."""
    steps = [step for step in instructions.steps if not isinstance(step, Finish)]
    seconds = instructions.timeout_seconds
    ahead = min(_AGENT_FIRST, seconds // 10)
    return (TimeLimit(0, len(steps) - 1, seconds - ahead),) if steps else ()
