"""The agent's work: report, ask for work, do it, say how it went.

┌─> report when due ─> long poll ──none──> idle too long? ──yes──> power off
│                        │ work
│                      claim ──refused──> (abandon) ─┐
│                        │ 204                       │
│                      steps, events                 │
│                        │ done │ failed, ended │ fenced
│                        │      └─ onError: after its delay restart or power off, or stay
└────────── stay <───────┴───────────────────────────┘
                         └─ done, acknowledged ─> reboot or power off

While a delay passes the agent goes on asking for work: what it claims then counts instead. So it
does while a shutdown of an installed system waits for people (``agent.shutdown``).
"""

import logging
from functools import partial
from typing import TYPE_CHECKING

from attrs import field, frozen

from agent.after_failure import Failure
from agent.clock import Clock
from agent.deadlines import Deadlines
from agent.departure import Departure, Keys, NoKeys
from agent.duties import Duty, take_turns
from agent.errors import (
    CodedError,
    EndedError,
    FencedError,
    FinishedWorkError,
    TerminalError,
    TransientError,
)
from agent.events import (
    EventStream,
    Unfinished,
    failure,
    going_on,
    report_unfinished,
    unfinished,
)
from agent.evidence import Evidence, EvidenceSources
from agent.fetched_files import FetchedFiles
from agent.identity.linux.installed_config import installed_config_on
from agent.identity.linux.suitability import imaged_system
from agent.journal import Journal, JournalEntry
from agent.machine import LocalMachine
from agent.membership import Membership, NoMembership
from agent.packages.engine import no_content
from agent.power import Power, leave
from agent.progress import ProgressMeter
from agent.retry import RetryPolicy, retry
from agent.sent_files import SentFiles
from agent.shutdown.pending import PendingShutdown, PoliteWays, ShutdownResources, only_action
from agent.shutdown.polite import Action, leaving
from agent.shutdown.wait import wait_for_people, with_warning
from agent.steps.chunk_store import ChunkStore
from agent.steps.packages import RestartWantedError
from agent.steps.run import StepContext, StepRunner, run_step
from agent.steps.step_thread import StepHangsError, run_to_end
from agent.steps.upgrade import AgentRestartWantedError
from agent.transport import Transport
from agent.updates.turns import NoUpdates, SelfUpdates
from agent.wire.codec import WireError
from agent.wire.step import Finish, InstallPackages, Step
from agent.wire.work import REBOOT_PREFIX, Work
from agent.work_channel import WorkChannel

if TYPE_CHECKING:
    from agent.wire.disk import Disk

_log = logging.getLogger(__name__)

POLL_WAIT_SECONDS = 25
REPORT_SECONDS = 60.0
_PAUSE_SECONDS = 5.0  # before asking again when the last answer was of no use
_CLAIM_RETRY = RetryPolicy(first=1.0, cap=10.0, limit=120.0)
_STEP_RETRY = RetryPolicy(first=1.0, cap=30.0, limit=1800.0)
_AWAY = RetryPolicy(first=1.0, cap=60.0)
_REFUSED = RetryPolicy(first=60.0, cap=900.0)


@frozen
class SessionOptions:
    """How one kind of agent differs from the other.

    ``idle`` is the number of seconds without work after which the machine is switched
    off, None for never. ``outlives_refusal``: carry on asking, more and more rarely,
    when the server refuses this agent, instead of raising. ``hang_seconds``: how long after it
    should have stopped a step is taken to hang.
    """

    environment: str
    machine_name: str
    idle: float | None = None
    outlives_refusal: bool = False
    hang_seconds: float = 120.0


@frozen
class SessionResources:
    """All that a session acts on. Without ``evidence`` none is collected."""

    transport: Transport
    machine: LocalMachine
    power: Power
    journal: Journal
    clock: Clock = field(factory=Clock)
    do_step: StepRunner = run_step
    evidence: EvidenceSources | None = None
    keys: Keys = field(factory=NoKeys)
    duties: tuple[Duty, ...] = ()
    updates: SelfUpdates = field(factory=NoUpdates)
    files: FetchedFiles | None = None
    polite: PoliteWays | None = None
    """How people are asked before the system is shut down; None: nobody uses it."""
    membership: Membership = field(factory=NoMembership)


class Session:
    """One agent at work until the machine is restarted or switched off."""

    def __init__(self, options: SessionOptions, resources: SessionResources) -> None:
        self._options = options
        self._resources = resources
        self._channel = WorkChannel(resources.transport)
        self._evidence = (
            None
            if resources.evidence is None
            else Evidence(
                resources.evidence, resources.machine, self._channel.evidence, resources.clock
            )
        )
        self._begun: set[tuple[str, int]] = set()
        self._problem = ""
        self._disks: tuple[Disk, ...] = ()
        """As they were reported last."""
        self._last_report = float("-inf")
        self._last_work = resources.clock.monotonic()
        self._keep_screen = False
        self._departure: Departure | None = None
        self._shutdown: PendingShutdown | None = None

    def run(self) -> None:
        """Work until a ``finish``, a failure, a key or idleness ends the session.

        Raises TerminalError where the server refuses this agent, unless the options say
        to outlive that.
        """
        try:
            self._work_until_over()
        finally:
            self._call_off_departure()
            if self._shutdown is not None:
                self._shutdown.call_off("the agent ends")
            self._resources.updates.close()
            if self._evidence is not None:
                self._evidence.close()

    def _work_until_over(self) -> None:
        resources = self._resources
        failures = 0
        if self._take_up_earlier():
            return
        while True:
            if self._waiting_shutdown is None and resources.updates.turn():
                return
            try:
                if self._turn():
                    return
                failures = 0
            except TransientError as error:
                failures += 1
                self._wait(_AWAY, failures, error)
            except TerminalError as error:
                if not self._options.outlives_refusal:
                    raise
                if resources.membership.refused(error):
                    failures = 0
                    continue
                failures += 1
                self._wait(_REFUSED, failures, error)
            if self._idle_too_long():
                _log.info("no work for %.0f s, switching off", self._options.idle)
                resources.power.poweroff()
                return

    def _take_up_earlier(self) -> bool:
        """Go on with the attempt of an earlier process, or tell how it ended.

        Return whether the session is over.
        """
        journal = self._resources.journal
        entry = going_on(journal)
        if entry is not None and entry.work is not None:
            _log.info("goes on operation=%s step=%d", entry.operation, entry.step + 1)
            return self._end(self._operate(entry.work, entry))
        earlier = unfinished(journal)
        return earlier is not None and self._take_up(earlier)

    def _take_up(self, earlier: Unfinished) -> bool:
        """Tell how an attempt of an earlier process ended; return whether the session is over."""
        resources, entry = self._resources, earlier.entry
        if self._evidence is not None and not earlier.is_done:
            self._evidence.left_behind(entry.operation, entry.attempt, earlier.cause)
        earlier = report_unfinished(
            self._channel.event, resources.journal, resources.clock, earlier
        )
        if earlier.is_done:
            return self._end(entry.finish)
        self._depart(Failure(earlier.cause, entry.on_error, entry.disks_written))
        return False

    def _turn(self) -> bool:
        """Report if due, ask once for work and do it; return whether the session is over."""
        clock = self._resources.clock
        departure = self._departure
        if departure is not None:
            if departure.is_over():
                return True
            if departure.failure.step_hangs:
                clock.pause(min(_PAUSE_SECONDS, departure.seconds_left()))
                return False
        if self._shutdown is not None and self._shutdown.turn():
            return True
        self._report_when_due()
        take_turns(self._resources.duties)
        if self._resources.updates.is_busy:
            clock.pause(self._seconds_left())
            return False
        asked = clock.monotonic()
        wait = int(min(POLL_WAIT_SECONDS, self._seconds_left()))
        try:
            work = self._channel.work(wait)
        except WireError as error:
            self._note(f"RW559: work that this agent does not understand: {error}")
            clock.pause(_PAUSE_SECONDS)
            return False
        if work is None:
            if clock.monotonic() - asked < 1.0:
                clock.pause(min(_PAUSE_SECONDS, self._seconds_left()))
            return False
        return self._take(work)

    def _take(self, work: Work) -> bool:
        """Claim the work and do it; return whether the session is over."""
        resources = self._resources
        attempt = (work.operation, work.attempt)
        if attempt in self._begun:
            self._note(f"RW564: attempt {work.attempt} of {work.operation} was offered again")
            resources.clock.pause(_PAUSE_SECONDS)
            return False
        if self._is_finished(work):
            return False
        try:
            retry(lambda: self._channel.claim(work), _CLAIM_RETRY, resources.clock)
        except FencedError as error:
            _log.warning("claim refused operation=%s %s", work.operation, error.cause)
            resources.clock.pause(_PAUSE_SECONDS)
            return False
        self._call_off_departure()
        self._begun.add(attempt)
        if self._waits_for_people(work):
            return False
        _log.info("claimed operation=%s attempt=%d", work.operation, work.attempt)
        if self._evidence is not None:
            self._evidence.begin(work, self._disks)
        finish = self._operate(work)
        self._last_work = resources.clock.monotonic()
        self._last_report = float("-inf")
        return self._end(finish)

    def _waits_for_people(self, work: Work) -> bool:
        """Begin to wait where the claimed work shuts the system down and says that people count."""
        resources, polite, action = self._resources, self._resources.polite, only_action(work)
        if polite is None or work.power.is_immediate or action is None:
            return False
        if (pending := self._waiting_shutdown) is not None:
            pending.replace(work, action)
            return True
        self._shutdown = PendingShutdown(
            work,
            action,
            ShutdownResources(
                self._channel.event, resources.power, resources.journal, resources.clock, polite
            ),
        )
        self._shutdown.start()
        return True

    def _is_finished(self, work: Work) -> bool:
        """Refuse to restart for the operation that installed this system and is verified."""
        installed = self._resources.machine.operation
        if installed is None:
            return False
        try:
            installed.refuse(work.operation.removeprefix(REBOOT_PREFIX))
        except FinishedWorkError as refusal:
            _log.error("REFUSED %s", refusal)
            self._channel.event(work.operation, failure(refusal, work.attempt, step=0, sequence=1))
            self._resources.clock.pause(_PAUSE_SECONDS)
            return True
        return False

    def _operate(self, work: Work, earlier: JournalEntry | None = None) -> str:
        """Do the claimed work; return its ``finish`` once the server knows that it is done.

        ``earlier`` is what the journal has of work that goes on.
        """
        resources = self._resources
        in_system = self._options.environment == "installed"
        entry = earlier or JournalEntry.of(work, keeps_work=in_system)
        events = EventStream(self._channel.event, entry, resources.journal, resources.clock)
        with events.running():
            try:
                finish = self._run_steps(work, events, entry.step)
                self._collect("all steps are done")
                if in_system and (action := leaving(finish)) is not None:
                    self._wait_for_people(work, action, events)
                events.done(finish)
            except FencedError as error:
                self._abandon(error)
            except RestartWantedError:
                return "reboot"  # the journal has it, and the next process goes on
            except AgentRestartWantedError:
                raise  # likewise, and this process ends
            except CodedError as error:
                self._fail(work, events, error)
            except Exception as error:  # noqa: BLE001 - the server must hear of any failure
                _log.error("unexpected error operation=%s", work.operation, exc_info=error)
                self._fail(work, events, _unexpected(error))
            else:
                self._keep_screen = False
                _log.info("done operation=%s", work.operation)
                return finish
            finally:
                if resources.files is not None and resources.journal.is_clear():
                    resources.files.clear()
        return ""

    def _run_steps(self, work: Work, events: EventStream, first: int) -> str:
        """Do the steps from ``first`` on; return what the machine does next, empty for nothing."""
        check_order(work)
        deadlines = Deadlines(work, self._resources.clock)
        finish = ""
        for index, step in enumerate(work.steps):
            if isinstance(step, Finish):
                finish = step.action
                continue
            if index < first:
                continue
            events.step_started(index)
            deadlines.begin(index)
            _log.info("step %d/%d %s", index + 1, len(work.steps), step.STEP_TYPE)
            context = self._context(work, events, deadlines, step)
            try:
                result = run_to_end(
                    partial(self._resources.do_step, step, context),
                    partial(self._why_hangs, events, deadlines),
                )
            except RestartWantedError as wanted:
                _log.info("restarts in the middle of operation=%s: %s", work.operation, wanted)
                self._wait_for_people(warned(work, step), "reboot", events)
                raise
            events.check()
            events.step_done(result)
        return finish

    def _wait_for_people(self, work: Work, action: Action, events: EventStream) -> None:
        """Give the people of an installed system their time before it goes down for the work."""
        resources = self._resources
        if resources.polite is None or work.power.is_immediate:
            return
        journal = Journal(resources.journal.path.with_name("shutdown.json"))
        wait_for_people(work, action, resources.polite, journal, resources.clock, events.check)

    def _why_hangs(self, events: EventStream, deadlines: Deadlines) -> TerminalError | None:
        if events.overdue() > self._options.hang_seconds:
            return events.error()
        if deadlines.overdue() > self._options.hang_seconds:
            return deadlines.error()
        return None

    def _context(
        self, work: Work, events: EventStream, deadlines: Deadlines, step: Step
    ) -> StepContext:
        resources = self._resources
        meter = ProgressMeter(step.STEP_TYPE, resources.clock)

        def check() -> None:
            events.check()
            deadlines.check()

        def progress(done: int, total: int) -> None:
            deadlines.check()
            events.progress(done, total)
            line = meter.advance(done, total)
            if line:
                _log.info("%s", line)

        return StepContext(
            environment=self._options.environment,
            machine_name=self._options.machine_name,
            operation=work.operation,
            machine=resources.machine,
            installed_on=partial(installed_config_on, resources.machine.paths.sysfs),
            system_on=partial(imaged_system, resources.machine.paths.sysfs),
            chunks=ChunkStore(resources.transport, resources.clock, check),
            progress=progress,
            check=check,
            writing=events.writing,
            report=lambda: retry(self._report, _STEP_RETRY, resources.clock),
            state=resources.journal.path.parent,
            fetch=partial(resources.files.fetch, check=check) if resources.files else no_content,
            pause=resources.clock.pause,
            bring=SentFiles(
                resources.transport, resources.clock, work.operation, work.attempt, check, progress
            ).send,
            attempt=work.attempt,
            steps=work.steps,
        )

    # --- after a failure ---------------------------------------------------------

    def _fail(self, work: Work, events: EventStream, error: CodedError) -> None:
        """Report the failure; then the machine does what the work says of failures."""
        hangs = isinstance(error, StepHangsError)
        failure = Failure(str(error), work.on_error, events.disks_written, step_hangs=hangs)
        _log.error("FAILED %s", error)
        self._collect(str(error), looks_at_disks=not hangs)
        try:
            if not isinstance(error, EndedError):
                events.failed(error, failure.delivery_seconds)
        except EndedError as ended:
            failure = Failure(str(ended), work.on_error, events.disks_written, step_hangs=hangs)
        except TransientError as away:
            _log.warning("the server does not know of the failure: %s", away.cause)
        except FencedError as fenced:
            if not hangs:
                self._abandon(fenced)
                return
        except TerminalError as refusal:
            _log.warning("the server does not want to know of the failure: %s", refusal.cause)
        self._resources.journal.clear()
        self._depart(failure)

    def _abandon(self, error: TerminalError) -> None:
        """Leave the attempt alone: it is no longer this agent's."""
        self._keep_screen = True
        self._resources.journal.clear()
        _log.error("STOPPED %s", error)
        self._collect(str(error))

    def _depart(self, failure: Failure) -> None:
        if self._options.environment != "deploy-os":
            return  # an installed system goes on as it is
        self._keep_screen = True
        resources = self._resources
        self._departure = Departure(failure, resources.power, resources.keys, resources.clock)

    @property
    def _waiting_shutdown(self) -> PendingShutdown | None:
        pending = self._shutdown
        return None if pending is None or pending.is_over else pending

    def _seconds_left(self) -> float:
        """Return after how many seconds the session has to look again; infinite for never.

        Then the machine leaves after a failure, or a shutdown that waits may be due.
        """
        left = self._resources.updates.seconds_left()
        if self._departure is not None:
            left = min(left, self._departure.seconds_left())
        if (pending := self._waiting_shutdown) is not None:
            left = min(left, pending.seconds_left())
        return left

    def _call_off_departure(self) -> None:
        if self._departure is not None:
            self._departure.call_off()
            self._departure = None

    def _collect(self, outcome: str, *, looks_at_disks: bool = True) -> None:
        if self._evidence is not None:
            self._evidence.finish(outcome, looks_at_disks=looks_at_disks)

    # -----------------------------------------------------------------------------

    def _end(self, finish: str) -> bool:
        """Restart, switch off or stay as an operation's end wants; return whether it is over."""
        self._keep_screen = self._keep_screen or finish == "stay"
        return leave(self._resources.power, finish)

    def _report_when_due(self) -> None:
        # A report that would fall due during the coming long poll is sent before it.
        due = self._last_report + REPORT_SECONDS - POLL_WAIT_SECONDS
        if self._resources.clock.monotonic() >= due:
            self._report()

    def _report(self) -> None:
        problems = (self._problem,) if self._problem else ()
        machine = self._resources.machine
        membership = self._resources.membership
        report = machine.report(problems)
        self._disks = report.disks
        answer = self._channel.report(report, membership.exchange)
        if answer.finished and machine.operation is not None:
            machine.operation.acknowledge(answer.finished)
        membership.answered(answer)
        self._resources.updates.told(answer.updates)
        self._last_report = self._resources.clock.monotonic()
        self._problem = ""

    def _note(self, problem: str) -> None:
        """Log a problem and let the next report carry it."""
        _log.warning("%s", problem)
        self._problem = problem
        self._last_report = float("-inf")

    def _wait(self, policy: RetryPolicy, failures: int, error: CodedError) -> None:
        delay = policy.delay(failures, self._resources.clock.chance())
        delay = min(delay, self._seconds_left())
        _log.warning("%s failures=%d retry_in=%.1fs", error.cause, failures, delay)
        self._resources.clock.pause(delay)

    def _idle_too_long(self) -> bool:
        # After a failure somebody has to read the screen, and a half-written disk waits.
        if self._options.idle is None or self._keep_screen:
            return False
        return self._resources.clock.monotonic() - self._last_work >= self._options.idle


def warned(work: Work, step: Step) -> Work:
    """Return work with the warning that a step wants for its restart."""
    if not isinstance(step, InstallPackages):
        return work
    return with_warning(work, step.countdown, postponable=step.skippable)


def check_order(work: Work) -> None:
    """Raise TerminalError RW570 unless ``finish``, where there is one, is the last step."""
    if any(isinstance(step, Finish) for step in work.steps[:-1]):
        raise TerminalError(
            "RW570",
            "the step finish stands before other steps",
            "Report this: the server planned an impossible operation",
        )


def _unexpected(error: Exception) -> TerminalError:
    return TerminalError(
        "RW599",
        f"unexpected {type(error).__name__}: {error}",
        "Report this together with the agent's log",
    )
