"""What may be handed out to agents and firmware: grants, tokens, work. All of it is short.

All methods are synchronous and called from one event loop's thread.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from attrs import evolve

from agent.wire.codec import encode
from agent.wire.report import Report
from agent.wire.step import ApplyIdentity, Finish, Restore
from agent.wire.work import TimeLimit, Work
from providers.netboot.decision import EnrollmentCredentials, Grant
from reconciler.loop.decide import reported
from reconciler.loop.power_requests import PowerRequests
from reconciler.loop.reconcile import Reconciler
from reconciler.server.discovered_machines import DiscoveredMachines
from reconciler.state.captures import Captures
from reconciler.state.certificates import AgentCertificates, IssuedCertificate
from reconciler.state.database import Database
from reconciler.state.exchanges import Exchanges
from reconciler.state.grants import Token
from reconciler.state.image_checks import ImageChecks
from reconciler.state.join_tokens import JoinTokens
from reconciler.state.machines import Said
from reconciler.state.observed import CONTACT_MAX_AGE
from reconciler.state.operation import Instructions, Operation, OperationStatus
from reconciler.state.operation_states import OperationState, ended_for_silence
from reconciler.state.schedule_history import ScheduleHistory
from reconciler.trust.token import new_token, token_digest
from specs.fleet import CompiledMachine

INSTALLED_TOKEN_LIFETIME = timedelta(hours=4)
"""From the hand-out of the work to the installed agent's first start: a restore lies between."""

_AGENT_FIRST = 30
"""Seconds before the server's own limit at which the agent, which knows why, ends the work."""

log = structlog.get_logger(__name__)


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
        self.image_checks = ImageChecks(database)
        self.join_tokens = JoinTokens(database)
        self.discovered = DiscoveredMachines(database, clock)
        self.schedule_history = ScheduleHistory(database)
        self.certificates = AgentCertificates(database)
        self.exchanges = Exchanges(database)
        self.power_requests = PowerRequests()
        self._endpoint = endpoint
        self._clock = clock
        self._rebooted: dict[str, int] = {}
        """By operation, the attempt for which the installed system was asked to restart."""
        self._contacts: dict[str, datetime] = {}
        """By machine, when its agent in RAM asked for work last."""
        self._told: dict[str, tuple[str, bytes]] = {}
        """By machine, what it reported last: environment, and digest of all but the uptime."""
        self._hardware_of: dict[str, tuple[str, tuple[str, ...]]] = {}
        """By an agent's name, its token's operation and the hardware that this is for."""

    def now(self) -> datetime:
        """Return the time by the injected clock."""
        return self._clock()

    def use_endpoint(self, endpoint: AgentEndpoint) -> None:
        """Send machines that boot from now on to this address and certificate."""
        self._endpoint = endpoint

    def enrolled(self, certificate: IssuedCertificate) -> None:
        """Keep what an agent got for its token; one of an installed system begins anew."""
        self.certificates.record(certificate)
        if certificate.environment == "installed":
            self.exchanges.forget(certificate.machine)

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
        """Return the machine that a token is for: that of its hardware."""
        owner = self.reconciler.hardware.owner(self._identities(token))
        return self.reconciler.fleet.machines[owner] if owner is not None else None

    def hardware_of_agent(self, name: str) -> tuple[str, ...]:
        """Return the hardware that a certificate for ``name`` is for; empty where nobody knows."""
        token = self.grants.last_enrolled(name)
        return () if token is None else self._identities(token)

    def _identities(self, token: Token) -> tuple[str, ...]:
        """Return the hardware of a token: that which joined, or that of its operation."""
        if token.identities:
            return token.identities
        operation, identities = self._hardware_of.get(token.machine, ("", ()))
        if operation != token.operation:
            status = self.status(token.operation)
            if status is None:
                return ()
            identities = status.operation.identities
            self._hardware_of[token.machine] = token.operation, identities
        return identities

    def contact(self, machine: CompiledMachine, environment: str) -> None:
        """Take notice that a machine's agent asks for work.

        The machine is looked at where it has some, and where an agent in RAM is there anew: one
        that goes on asking changes nothing.
        """
        key, now = machine.name, self.now()
        self.machines.hear(Said(machine, environment, now))
        arrived = False
        if environment == "deploy-os":
            last = self._contacts.get(key)
            self._contacts[key] = now
            arrived = last is None or not timedelta() <= now - last <= CONTACT_MAX_AGE
        if arrived or self.reconciler.has_work(key):
            self.reconciler.ask(key)

    def reported(self, machine: CompiledMachine, report: Report) -> bool:
        """Take notice of how a machine is; return whether that is news.

        The machine is looked at where it is, or where it has work.
        """
        key, now = machine.name, self.now()
        told = report.environment, sha256(encode(evolve(report, uptime=0))).digest()
        is_news = self._told.get(key) != told
        if is_news or self.reconciler.has_work(key):
            self.machines.record_report(machine, report, now)
            self._proved_after_all(machine, report)
            self.reconciler.ask(key)
            self._told[key] = told
        else:
            self.machines.hear(Said(machine, report.environment, now, report))
        return is_news

    def left(self, machine: CompiledMachine) -> None:
        """Take notice that a machine's agent said that it leaves."""
        self._contacts.pop(machine.name, None)
        self.machines.forget_contact(machine)

    def quarantine(self, token: Token, reason: str) -> None:
        """Quarantine the machine that a token is for."""
        status = self.status(token.operation)
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
        """Return the unclaimed grants of a machine's armed work in RAM: what it may boot for."""
        return self._live_grants(key, in_system=False)

    def _live_grants(self, key: str, *, in_system: bool) -> tuple[Grant, ...]:
        """Return the unclaimed grants of armed work in RAM, or of the installed system's agent.

        None in quarantine, and none before the ledger is witnessed up to its arming.
        """
        armed = {
            status.operation.op_id: status
            for status in self.reconciler.work_of(key)
            if status.state is OperationState.ARMED
            and status.operation.runs_in_system == in_system
            and not self._is_quarantined(status)
        }
        if not armed or not self.reconciler.may_act():
            return ()
        attempts = {op_id: status.attempt for op_id, status in armed.items()}
        return tuple(
            replace(grant, expires=self.reconciler.grant_end(armed[grant.operation]))
            for grant in self.grants.unclaimed(attempts)
        )

    def _is_quarantined(self, status: OperationStatus) -> bool:
        operation = status.operation
        machine = self.reconciler.machine_of(operation)
        name = machine.name if machine else operation.machine
        known = machine.hardware_identities if machine else ()
        return bool(self.machines.quarantine(name, (*operation.identities, *known)))

    def credentials(
        self, grant: Grant, lifetime: timedelta, address: str = ""
    ) -> EnrollmentCredentials | None:
        """Mint the enrollment token of a boot script for an address, while the grant is live."""
        status = self.status(grant.operation)
        if (
            status is None
            or status.state is not OperationState.ARMED
            or status.attempt != grant.attempt
        ):
            return None
        text = self._mint(status, "deploy-os", lifetime, address)
        return EnrollmentCredentials(server=self._endpoint.url, pin=self._endpoint.pin, token=text)

    def work(self, key: str, *, in_system: bool = False) -> Work | None:
        """Return the work that an agent is to claim, secrets filled in.

        That of the agent in RAM, or with ``in_system`` that of the installed system's.
        """
        granted = (
            self.status(grant.operation) for grant in self._live_grants(key, in_system=in_system)
        )
        claimed = self._claimed_only(key, in_system=in_system)
        status = next((each for each in granted if each is not None), claimed)
        if status is None:
            return None
        steps = tuple(
            self._with_secrets(status, step) if isinstance(step, ApplyIdentity) else step
            for step in status.operation.instructions.steps
        )
        instructions = status.operation.instructions
        return Work(
            status.operation.op_id,
            status.attempt,
            steps,
            limits=(*instructions.limits, *_whole_limit(instructions)),
            on_error=instructions.on_error,
            disks_written=self._may_be_written(status.operation),
        )

    def _claimed_only(self, key: str, *, in_system: bool) -> OperationStatus | None:
        """Return the work that an agent claimed and did not begin: the answer may have got lost.

        It says so before it begins; until then whoever asks for work is asked to claim again.
        """
        status = self.at_work(key)
        if status is None or status.operation.runs_in_system != in_system:
            return None
        begun = status.last_event_at is not None
        return None if begun or self._is_quarantined(status) else status

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
            status = self.status(grant.operation)
            if status is not None and self._may_restart(status):
                return status
        return None

    def _may_restart(self, status: OperationStatus) -> bool:
        """Return whether a running system may be restarted for this attempt, by what was agreed."""
        scenario = self.reconciler.fleet.scenarios.get(status.operation.scenario)
        return (
            status.start.may_interrupt
            and status.start.trigger == "now"
            and (scenario is None or scenario.reboot != "never")
            and self._rebooted.get(status.operation.op_id, 0) < status.attempt
        )

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
        status = self.status(op_id)
        if status is None or not self.is_of(status, key) or status.attempt != attempt:
            return False
        if status.state is OperationState.STARTED:
            # The answer to the claim got lost; whoever asks again has done nothing yet.
            return status.last_event_at is None and self.reconciler.may_act()
        if status.state is not OperationState.ARMED or self._is_quarantined(status):
            return False
        if not self.reconciler.may_act():
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
        self.reconciler.delays.note(op_id, "", now)
        return self.reconciler.may_act()  # the agent begins once the claim is witnessed

    def started(self, key: str, op_id: str, attempt: int) -> OperationStatus | None:
        """Return the operation if this machine is at work on it in this very attempt."""
        status = self.status(op_id)
        if (
            status is None
            or not self.is_of(status, key)
            or status.state is not OperationState.STARTED
            or status.attempt != attempt
        ):
            return None
        return status

    def own_operation(self, key: str, op_id: str) -> OperationStatus | None:
        """Return the operation if it is this machine's, whatever its state."""
        status = self.status(op_id)
        return status if status is not None and self.is_of(status, key) else None

    def heard_after_all(self, key: str, op_id: str, attempt: int) -> OperationStatus | None:
        """Go on with work that ended for silence, whose agent is heard after all.

        None where it did not, or where other work began on the machine meanwhile: that stands.
        """
        status = self.status(op_id)
        if status is None or not self.is_of(status, key) or status.attempt != attempt:
            return None
        if not ended_for_silence(status.state, status.reason):
            return None
        reason = "RW631: its agent is heard after all"
        with self._database.writing() as connection:
            if not self.ledger.may_go_on(connection, status):
                return None
            impact = self.ledger.go_on_within(connection, status, at=self.now(), reason=reason)
        log.info("silent work goes on", code="RW631", machine=key, operation=op_id)
        self.reconciler.goes_on(status.operation, impact)
        return self.status(op_id)

    def _proved_after_all(self, machine: CompiledMachine, report: Report) -> None:
        """Verify work that ended for silence, whose installed system reports after all.

        The steps are done where the last of them made the system that reports.
        """
        system = report.installed
        status = self.status(system.operation) if system and system.operation else None
        if system is None or status is None or not self.is_of(status, machine.name):
            return
        steps = status.operation.instructions.steps
        last = next((step for step in reversed(steps) if not isinstance(step, Finish)), None)
        if not status.operation.proof or not isinstance(last, ApplyIdentity):
            return
        if not ended_for_silence(status.state, status.reason):
            return
        with self._database.writing() as connection:
            if not self.ledger.may_go_on(connection, status):
                return
            self.ledger.move_within(
                connection,
                status.operation.op_id,
                status.state,
                OperationState.VERIFIED,
                attempt=status.attempt,
                at=self.now(),
                actor=status.operation.machine,
                reason=f"RW631: {reported(system)} after all",
            )
        log.info("silent work is proved", code="RW631", machine=machine.name)

    def may_be_heard_yet(self, key: str) -> bool:
        """Return whether work of the machine ended for silence and may still go on."""
        machine = self.reconciler.fleet.machines.get(key)
        if machine is None:
            return False
        statuses = self.reconciler.operations.of_hardware(machine.hardware_identities)
        with self._database.reading() as connection:
            return any(self.ledger.may_go_on(connection, status) for status in statuses)

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

    def is_of(self, status: OperationStatus, key: str) -> bool:
        """Return whether an operation is for the machine of this key."""
        return self.reconciler.key_of(status.operation) == key

    def _with_secrets(self, status: OperationStatus, step: ApplyIdentity) -> ApplyIdentity:
        return evolve(
            step,
            server=self._endpoint.url,
            pin=self._endpoint.pin,
            agent_token=self._mint(status, "installed", INSTALLED_TOKEN_LIFETIME),
            operation=status.operation.op_id,
        )

    def _mint(
        self, status: OperationStatus, environment: str, lifetime: timedelta, address: str = ""
    ) -> str:
        token = new_token()
        self.grants.store_token(
            Token(
                digest=token_digest(token),
                operation=status.operation.op_id,
                attempt=status.attempt,
                machine=status.operation.machine,
                environment=environment,
                expires=self.now() + lifetime,
                sent_to=address,
            )
        )
        return token

    def status(self, op_id: str) -> OperationStatus | None:
        """Return an operation as the ledger has it; None where it has none of this id."""
        return next(iter(self.ledger.operations(op_id=op_id)), None)


def _whole_limit(instructions: Instructions) -> tuple[TimeLimit, ...]:
    """Return the time limit for all steps together, as the agent has it."""
    steps = [step for step in instructions.steps if not isinstance(step, Finish)]
    seconds = instructions.timeout_seconds
    ahead = min(_AGENT_FIRST, seconds // 10)
    return (TimeLimit(0, len(steps) - 1, seconds - ahead),) if steps else ()
