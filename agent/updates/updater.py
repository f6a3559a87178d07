"""Drives updates beside the session: looks, fetches, installs, restarts.

The session gives it a turn before each question for work, also while the server is away. What takes
long is done in a thread, one thing at a time; while it installs (``is_busy``) the session asks for
no work, so that no two installers meet and no restart interrupts one. The restart itself is
begun in a turn, between two pieces of work.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from attrs import evolve, frozen

from agent.clock import Clock
from agent.commands.supervised import Supervision
from agent.errors import CodedError, RefusedError, TerminalError, TransientError
from agent.fetched_files import FetchedFiles
from agent.journal import Journal
from agent.packages.adapter import System
from agent.packages.engine import signs_of
from agent.packages.order import in_order
from agent.packages.targets import is_applicable
from agent.power import Power
from agent.shutdown.pending import PoliteWays
from agent.shutdown.wait import wait_for_people
from agent.steps.packages import (
    LOCK,
    PackageContext,
    Software,
    install,
    shortened,
    try_anew,
)
from agent.updates.agreement import Agreement
from agent.updates.due import (
    Facts,
    begun,
    believed,
    closed,
    decide,
    ended,
    followed,
    into,
    missing,
    next_check,
    wants_restart,
)
from agent.updates.kept import KeptUpdates, UpdateState
from agent.wire.codec import WireError
from agent.wire.package import PackageFile, PackageResult, WantedPackage
from agent.wire.power import PowerPolicy
from agent.wire.step import Finish
from agent.wire.updates import MOST_RESULTS, Permission, UpdateOrders, UpdateReport
from agent.wire.work import Work

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
"""Between looks whether a thread has ended."""
_TELL_SECONDS = 3600.0
"""What is so still is told again after this: a server may have lost what it heard."""
_AGAIN_SECONDS = 30.0
"""After a refusal, or a server that was away, it is asked again so much later."""
_GRACE = 300
"""Seconds for which people who are at work are waited for before a restart."""
_FOR_EVER = 10**7
_LONGEST_END = 60.0
_WORK = "updates"
"""What a restart for updates is called where people ask what waits."""


class Channel(Protocol):
    """What is asked of the server; ``agent.updates.channel.UpdateChannel``."""

    def orders(self) -> UpdateOrders:
        """Return what the machine is to install by itself."""

    def report(self, report: UpdateReport) -> None:
        """Say how far it is."""

    def may_fetch(self) -> Permission:
        """Ask for a turn to fetch."""

    def may_restart(self, boot_id: str) -> Permission:
        """Ask whether the machine may restart now."""


@frozen
class UpdateResources:
    """What updates act on. ``wall`` returns the time on the machine's own clock, aware."""

    channel: Channel
    kept: KeptUpdates
    files: FetchedFiles
    state: Path
    software: Software
    """Its installers are not stopped with the agent: they outlive it, and are waited for then."""
    power: Power
    clock: Clock
    wall: Callable[[], datetime]
    polite: PoliteWays | None = None
    """How people are asked; None: who is there is not known."""

    def system(self) -> System:
        """Return the running system."""
        return self.software(Supervision(lock=self.state / LOCK), self.clock.pause)


class Updates:
    """The updates of one installed system."""

    def __init__(self, resources: UpdateResources) -> None:
        self._resources = resources
        self._state = resources.kept.read()
        self._boot = resources.system().boot
        self._orders_there = self._state.orders_digest
        """The digest that the server named last; another one than ours: they are fetched."""
        self._said: UpdateReport | None = None
        """What the server knows of us, as far as this process told it."""
        self._said_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._not_before = float("-inf")
        self._orders_after = float("-inf")
        """Not before this moment the server is asked for its orders, or for a turn, again."""
        self._leaves = False
        self._agreement = Agreement(resources.polite)

    @property
    def is_busy(self) -> bool:
        """Return whether an installer may be running."""
        return self._state.phase == "installing" and self._is_at_work

    @property
    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def told(self, orders: str) -> None:
        """Take notice of the digest of the server's orders; empty from one that gives none."""
        if orders:
            self._orders_there = orders

    def seconds_left(self) -> float:
        """Return after how many seconds at most ``turn`` has to be called again."""
        if self._is_at_work or self._leaves:
            return _LOOK_SECONDS
        now = self._resources.clock.monotonic()
        news = self._orders_there != self._state.orders_digest and now >= self._orders_after
        return 0.0 if news else float("inf")

    def close(self) -> None:
        """Stop what can be stopped, and wait for it."""
        self._stopped.set()
        self._agreement.close()
        if not self.is_busy:
            self.join(_LONGEST_END)

    def join(self, seconds: float) -> None:
        """Wait for what is under way."""
        if self._thread is not None:
            self._thread.join(seconds)

    def turn(self) -> bool:
        """Do what is due; return whether the machine restarts. Raises nothing."""
        if self._is_at_work:
            return False
        if self._leaves:
            return self._leave()
        try:
            self._follow_orders()
        except CodedError as error:
            _log.info("the server's orders are not known: %s", error.cause)
        facts = self._facts_with_people()
        if (state := believed(self._state, facts.seconds)) != self._state:
            _log.info("the clock was set back: times of updates count from now on")
            self._keep(state)
        move = decide(self._state, facts)
        act: Callable[[], None] | None = None
        if move.move == "rest":
            self._rest(move.why, facts)
        elif move.move == "look":
            self._try_anew()
            self._keep(begun(self._state, facts))
            act = self._look
        elif self._resources.clock.monotonic() >= self._not_before:
            act = {"fetch": self._look, "install": self._install, "restart": self._restart}[
                move.move
            ]
            if move.move == "install":
                self._keep(into(self._state, "installing", facts.seconds))
        self._tell()  # before the thread begins, which tells what comes of it
        if act is not None:
            self._begin(move.move, act)
        return False

    # --- turns ---------------------------------------------------------------------

    def _leave(self) -> bool:
        """Restart; return whether that was begun."""
        _log.info("restarting for updates")
        self._leaves = False
        try:
            self._resources.power.reboot()
        except CodedError as error:
            _log.warning("it does not restart: %s", error)
            self._put_off(error.cause, error.code)
            return False
        return True

    def _try_anew(self) -> None:
        """Have stalled packages tried once more where a person asks to look."""
        if self._state.orders.notice <= self._state.notice:
            return
        stalled = [each.name for each in self._state.results if each.stalled]
        try:
            try_anew(self._resources.state, stalled)
        except CodedError as error:
            _log.warning("stalled packages stay so: %s", error)

    def _facts(self) -> Facts:
        return Facts(self._resources.wall(), self._boot())

    def _facts_with_people(self) -> Facts:
        """Return who is logged in besides, while that matters: it takes a few programs to say."""
        facts, polite = self._facts(), self._resources.polite
        if polite is None:
            return evolve(facts, users=None)
        if self._state.phase != "waiting":
            return facts
        people = polite.people.blockers()
        return evolve(facts, users=tuple(each.text for each in people if each.uid is not None))

    def _follow_orders(self) -> None:
        now = self._resources.clock.monotonic()
        named = self._orders_there
        if named == self._state.orders_digest or now < self._orders_after:
            return
        self._orders_after = now + _AGAIN_SECONDS
        try:
            orders = self._resources.channel.orders()
        except WireError as error:
            _log.warning("RW559: orders that this agent does not understand: %s", error)
            self._keep(evolve(self._state, orders_digest=named))
            return
        self._orders_after = now
        state = followed(self._state, orders, int(self._resources.wall().timestamp()))
        self._keep(evolve(state, orders_digest=named))

    def _rest(self, why: str, facts: Facts) -> None:
        state = self._state
        if state.phase == "waiting":
            state = self._agreement.ask(state, facts)
        else:
            self._agreement.close()
        if state.phase in {"waiting", "restart"}:
            state = into(state, state.phase, facts.seconds, why)
        if state != self._state:
            self._keep(state)

    def _begin(self, name: str, act: Callable[[], None]) -> None:
        self._agreement.close()
        whole = f"{threading.current_thread().name} updates {name}"
        self._thread = threading.Thread(target=self._work, args=(act,), name=whole, daemon=True)
        self._thread.start()

    # --- the thread ----------------------------------------------------------------

    def _work(self, act: Callable[[], None]) -> None:
        try:
            act()
        except TransientError as error:
            self._put_off(error.cause, error.code)
        except CodedError as error:
            _log.warning("updates: %s", error)
            self._end(error.cause, error.code)
        except Exception as error:  # noqa: BLE001 - the server must hear of any failure
            _log.error("updates failed", exc_info=error)
            self._end(f"unexpected {type(error).__name__}: {error}", "RW599")
        if not self._stopped.is_set():
            self._tell()

    def _look(self) -> None:
        """See what is missing and fetch it; what follows is begun in a turn."""
        resources, orders = self._resources, self._state.orders
        absent = self._absent(orders, resources.system())
        if not absent:
            # The engine says so of each package. It may repair first, hence between two works.
            self._keep(into(self._state, "installing", self._facts().seconds))
            return
        files = [file for package in absent for file in package.files]
        self._fetch(files, orders)
        self._keep(missing(self._state, tuple(each.name for each in absent), self._facts()))

    @staticmethod
    def _absent(orders: UpdateOrders, system: System) -> tuple[WantedPackage, ...]:
        facts = system.facts()
        fitting = (each for each in in_order(orders.packages) if is_applicable(each, facts))
        return tuple(each for each in fitting if not _is_detected(each, system))

    def _fetch(self, files: list[PackageFile], orders: UpdateOrders) -> None:
        resources = self._resources
        if not all(map(resources.files.has, files)):
            permission = resources.channel.may_fetch()
            if not permission.granted:
                raise _NotYetError(permission.why)
        for file in files:
            try:
                resources.files.fetch(file, self._check, orders.max_rate or None)
            except RefusedError:
                raise
            except TerminalError as error:  # its package says so; the others are installed
                _log.warning("not fetched: %s", error)

    def _install(self) -> None:
        resources = self._resources
        context = PackageContext(
            state=resources.state,
            run=self._state.run,
            fetch=partial(resources.files.fetch, check=self._check),
            check=_go_on,
            pause=resources.clock.pause,
        )
        outcome = install(self._state.orders.packages, context, resources.software)
        facts = self._facts()
        results = tuple(map(shortened, outcome.results))
        state = evolve(self._state, results=results, results_of=self._state.run)
        if outcome.reboot:
            self._keep(wants_restart(state, facts))
            return
        self._resources.files.clear()
        self._keep(ended(state, facts.seconds))

    def _restart(self) -> None:
        """Give people their time, then have the server's leave, then warn of the restart."""
        resources, orders = self._resources, self._state.orders
        postponable = _FOR_EVER
        if orders.deadline:
            waited = int(resources.wall().timestamp()) - self._state.phase_since
            postponable = max(0, orders.deadline - waited)
        self._wait_for_people(PowerPolicy(min(_GRACE, postponable), 0, postponable))
        facts = self._facts()
        if why := closed(orders, facts):  # they may have put it off for longer than a window
            raise _NotYetError(why)
        permission = resources.channel.may_restart(facts.boot)
        if not permission.granted:
            raise _NotYetError(permission.why)
        self._wait_for_people(PowerPolicy(0, orders.countdown, 0))
        self._leaves = True

    def _wait_for_people(self, policy: PowerPolicy) -> None:
        resources = self._resources
        if resources.polite is None or policy.is_immediate:
            return
        work = Work(_WORK, 1, (Finish("reboot"),), power=policy)
        journal = Journal(resources.state / "updates-restart.json")
        wait_for_people(work, "reboot", resources.polite, journal, resources.clock, self._check)

    # --- state ---------------------------------------------------------------------

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _NotYetError("the agent ends")

    def _keep(self, state: UpdateState) -> None:
        self._state = state
        self._resources.kept.write(state)

    def _put_off(self, why: str, code: str) -> None:
        """Go on later where it is now."""
        self._not_before = self._resources.clock.monotonic() + _AGAIN_SECONDS
        state = self._state
        phase = "waiting" if state.phase == "installing" and not state.restart_boot else state.phase
        self._keep(into(state, phase, self._facts().seconds, why, code))

    def _end(self, why: str, code: str) -> None:
        self._keep(ended(self._state, self._facts().seconds, why, code))

    def _tell(self) -> None:
        state = self._state
        if self._said is None and not state.orders.policy and not state.run:
            return  # nothing was ever wanted of it
        report, now = self._report(), self._resources.clock.monotonic()
        if report == self._said and now < self._said_at + _TELL_SECONDS:
            return
        try:
            self._resources.channel.report(report)
        except CodedError as error:  # told at a later turn
            _log.info("the server does not hear of updates: %s", error.cause)
            return
        self._said, self._said_at = report, now

    def _report(self) -> UpdateReport:
        state, facts = self._state, self._facts()
        return UpdateReport(
            boot_id=facts.boot,
            policy=state.orders.policy,
            orders=state.orders_digest,
            phase=state.phase,
            why=state.why,
            code=state.code,
            since=state.phase_since,
            run=state.results_of,
            checked=state.checked,
            next_check=next_check(state.orders, facts.now),
            results=_most_telling(state.results),
        )


def _most_telling(results: tuple[PackageResult, ...]) -> tuple[PackageResult, ...]:
    """Return as many results as a report may have: of too many those that say what is missing."""
    if len(results) <= MOST_RESULTS:
        return results
    return tuple(sorted(results, key=lambda each: each.is_there)[:MOST_RESULTS])


def _is_detected(package: WantedPackage, system: System) -> bool:
    """Return whether a package is there; what cannot be told is found out by installing it."""
    try:
        return all(map(system.detects, signs_of(package)))
    except CodedError:
        return False


def _go_on() -> None:
    """Never stop an installer."""


class _NotYetError(TransientError):
    """It is tried again later; the cause says why."""

    def __init__(self, why: str) -> None:
        super().__init__("", why, "Nothing is needed: it is tried again")
