"""The control plane as one process: netboot, HTTP for firmware and agents, reconcile loop.

Every long-lived task is supervised: one that fails is logged and started again, and one that
the process cannot do without ends it after a while, with a code that is not 0.
"""

import asyncio
import errno
import gc
import shutil
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self

import structlog
from aiohttp import web

from agent.errors import CodedError, UnwritableFileError, one_line
from agent.failpoint import failpoint
from providers.imaging.errors import StoreAwayError
from providers.imaging.http import in_store
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from providers.netboot.port_owner import bind_error
from providers.netboot.served_fleet import Reservations
from providers.netboot.server import NetbootConfiguration, NetbootServer
from providers.own_thread import in_own_thread
from providers.supervision import ServiceManager, Supervisor, Watchdog
from reconciler.errors import StateError
from reconciler.git.other_files import ReadFiles, no_files
from reconciler.loop.hearing import BEAT_SECONDS, Hearing
from reconciler.loop.reboot_locks import RebootLocker
from reconciler.loop.reconcile import Reconciler
from reconciler.loop.rollouts import Look, RolloutRunner
from reconciler.loop.schedules import Schedules
from reconciler.server.agent_api import busy_as_unavailable
from reconciler.server.agent_routes import AgentServices, agent_routes
from reconciler.server.boots import BootDecisions
from reconciler.server.captured_names import name_captured
from reconciler.server.connection_limits import ConnectionLimits, Limits, raise_descriptor_limit
from reconciler.server.contradictions import Contradictions
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.server.evidence import EvidenceKeeper
from reconciler.server.fleet_lock import FleetLockApi
from reconciler.server.health_check import HealthChecker
from reconciler.server.image_keeper import ImageKeeper
from reconciler.server.image_scrub import ImageScrubbing, Pace
from reconciler.server.inventory import InventoryKeeper
from reconciler.server.local_interface import local_interface
from reconciler.server.machine_files import MachineFiles
from reconciler.server.newest_write import NewestWrite
from reconciler.server.notifier import Notifier
from reconciler.server.package_mirror import PackageMirroring, SourceMirror
from reconciler.server.power import Power
from reconciler.server.signed_images import SignedImages
from reconciler.server.state_lock import locked_state
from reconciler.server.store_presence import READ_ONLY, StorePresence
from reconciler.server.tls_identity import TlsIdentity
from reconciler.server.updates import UpdateDesk
from reconciler.server.work_content import SignedReleases, WorkContent
from reconciler.state.database import Database
from reconciler.state.hardware import FleetHardware
from reconciler.state.image_store import ImageStores
from reconciler.state.images import observed_images
from reconciler.state.inventories import Inventories
from reconciler.state.leases import StoredLeases
from reconciler.state.ledger_guard import LedgerGuard
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.observed import Capture, ObservedImage
from reconciler.state.operation import OperationStatus
from reconciler.state.reboot_locks import RebootLocks
from reconciler.state.reported_identities import ReportedIdentities
from reconciler.state.run_evidence import RunEvidence
from reconciler.state.updates import UpdateRecords
from reconciler.state.witness import Witnesses
from reconciler.trust.authority import Authority
from reconciler.trust.secrets import FOLDER as SECRETS
from reconciler.trust.secrets import Secrets
from specs.fleet import DEFAULT_WAITS, CompiledFleet, CompiledMachine

LEDGER_INTERVAL = 1.0
"""Seconds between looks at the ledger: what another process approved is seen by then."""
AUTHORITY_INTERVAL = 2.0
"""Seconds after which an authority that another process changed is known."""
SCHEDULE_INTERVAL = 1.0
"""Seconds between looks whether a schedule is due."""
ROLLOUT_INTERVAL = 1.0
"""Seconds between looks whether a wave is through."""
WRITE_INTERVAL = 0.2
"""Seconds between two writes of what machines said."""
HEALTH_INTERVAL = 5.0
IMAGES_INTERVAL = 60.0
"""Seconds after which images that another process changed are known."""
_SLICE = 0.005
"""Seconds of reconciling after which whoever waits for the event loop has a turn."""
_WANT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_LEFTOVER_AGE = timedelta(days=1)
"""Uploads that broke off longer ago are cleared away."""

_TESTS = "proof"
"""Where restore tests unpack images; what a server that was killed left there goes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the control plane keeps its state and where it listens."""

    state: Path
    boot_files: Path
    """Directory of the built Deploy-OS."""
    http_port: int = 8080
    https_port: int = 8443
    read_files: ReadFiles = no_files
    """Reads files of the repository that are brought to machines."""
    unattended: bool = False
    """Whether to start what needs nobody's approval, and what schedules say."""
    secrets: tuple[Path, ...] = ()
    """Folders where the values of ``!secret`` references are, beside ``STATE/secrets``."""


class Service:
    """Owns everything that runs; use it as an asynchronous context manager."""

    def __init__(
        self,
        settings: ServiceSettings,
        fleet: CompiledFleet,
        database: Database,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._supervisor = Supervisor()
        self._connections = ConnectionLimits(Limits.for_descriptors(raise_descriptor_limit()))
        self._news = asyncio.Event()
        self._notifier = Notifier()
        self._tests: set[str] = set()
        self._failed_tests: dict[str, int] = {}
        """By restore test, how often it did not come to its end, for no want of room."""
        self._faulty: set[str] = set()
        self.store = ChunkStore(settings.state / "store", identity="")
        self._images: dict[str, ObservedImage] = {}
        self._presence = StorePresence(
            self.store, ImageStores(database), lambda: self.reconciler.faults, clock
        )
        self._image_keeper = ImageKeeper(self.store, database, clock)
        self._scrubbing = ImageScrubbing(
            self.store, database, lambda: self.reconciler.fleet.settings.scrub, clock, Pace()
        )
        self._witness_in_store = NewestWrite("ledger witness in the image store")
        witnesses = Witnesses(settings.state, lambda: self._presence.is_there, self._write_in_store)
        self._guard = LedgerGuard(database, witnesses, clock)
        self.place = local_interface(fleet.networks.values())
        self.authority = Authority.load_or_create(settings.state / "trust", clock())
        self._signed_images = SignedImages(
            self.store,
            self.authority,
            lambda: self.reconciler.fleet.settings.signed_images_only,
        )
        self._tls = TlsIdentity(self.authority, self.place.address, clock)
        self._power = Power(self.place, clock)
        self._hearing = Hearing(clock, time.monotonic)
        self._evidence = EvidenceKeeper(
            RunEvidence(database, settings.state / "runs"),
            lambda: self.reconciler.fleet.settings,
            clock,
        )
        self._machine_files = MachineFiles(settings.state, clock)
        self._inventory = InventoryKeeper(Inventories(database), clock)
        hardware = FleetHardware(fleet.machines.values()).prepare()
        self.reconciler = Reconciler(
            database,
            fleet,
            hardware,
            self,
            clock,
            hears_since=self._hearing.since,
            acts_unattended=settings.unattended,
        )
        self.plane = ControlPlane(database, self.reconciler, self._endpoint(), clock)
        self.locker = RebootLocker(RebootLocks(database), self.reconciler, clock)
        self._fleet_lock = FleetLockApi(self.locker, ReportedIdentities(database), time.monotonic)
        self._contradictions = Contradictions(self.plane, LedgerLines(database))
        self.schedules = Schedules(
            database, self.reconciler, self.plane.power_requests, self, clock
        )
        self.rollouts = RolloutRunner(database, self.reconciler, clock, self._hearing.since)
        self._health = HealthChecker(settings.state)
        self.secrets = Secrets((*settings.secrets, settings.state / SECRETS))
        self.packages = SourceMirror(settings.state, database, self.secrets, clock)
        self._updates = UpdateDesk(
            UpdateRecords(database), self.reconciler, self.locker, self.packages.store, clock
        )
        self._mirroring = PackageMirroring(
            self.packages,
            lambda: self.reconciler.fleet,
            self.reconciler.faults,
            clock,
            by_schedule=settings.unattended,
        )
        self._asks: set[asyncio.Task[None]] = set()
        self._reservations = self._reserved(fleet)
        self._netboot = self._new_netboot(database)
        gc.freeze()  # see ``use``

    async def __aenter__(self) -> Self:
        """Start everything; whatever cannot start stops what did."""
        async with AsyncExitStack() as stack:
            stack.enter_context(locked_state(self._settings.state))
            with suppress(StateError):
                self.reconciler.faults.forget()
            await self._presence.look()
            self._guard.start()
            await self._begin_with_store()
            shutil.rmtree(self._settings.state / _TESTS, ignore_errors=True)
            await stack.enter_async_context(self._supervisor)
            await self._listen(stack)
            await self._netboot.start()
            stack.push_async_callback(self._netboot.stop)
            stack.callback(self._write_last)
            self._start_tasks(stack)
            self._stack = stack.pop_all()
        return self

    async def _begin_with_store(self) -> None:
        """Read which images there are, and clear away what crashes left; not while it is away."""
        if self._presence.is_there:
            before = self._clock() - _LEFTOVER_AGE
            with suppress(StoreAwayError):
                await in_store(self.store, lambda: self.store.sweep(before))
            await self._look_at_images()

    def _observed_images(self) -> dict[str, ObservedImage]:
        return observed_images(self.store, self.authority.image_keys.check)

    async def _look_at_images(self) -> None:
        """Read which images there are; what was known stays while the store is away."""
        with suppress(StoreAwayError):
            self._images = await in_store(self.store, self._observed_images)

    async def __aexit__(self, *error: object) -> None:
        """Stop everything; SupervisionError where a task that is needed kept failing."""
        await self._stack.__aexit__(*error)  # type: ignore[arg-type] # what Python gave

    def supervise(self, name: str, run: Callable[[], Awaitable[object]]) -> None:
        """Run something for as long as the service does, or until it is done."""
        self._supervisor.start(name, run, may_end=True)

    @property
    def revision(self) -> str:
        """The revision of the fleet that is acted on."""
        return self.reconciler.fleet.revision

    async def use(self, fleet: CompiledFleet) -> None:
        """Go on with another revision of the fleet.

        What takes long for a large fleet is worked out beside the event loop. A fleet lives
        until the next one comes and has no circles: looking for some among its objects would
        keep boots waiting for 0.2 s, so that the garbage collector leaves them out.
        """
        hardware = await asyncio.to_thread(FleetHardware(fleet.machines.values()).prepare)
        reservations = await asyncio.to_thread(self._reserved, fleet)
        self.reconciler.use(fleet, hardware)
        self._reservations = reservations
        gc.freeze()
        self.asked()
        await self._netboot.refresh()

    # --- what the reconciler asks for --------------------------------------------

    def wake(self, machine: CompiledMachine, status: OperationStatus) -> None:
        """Ask a machine to start."""
        failpoint("wake.before")
        self._power.wake(machine, status)
        failpoint("wake.after")

    def start(self, machine: CompiledMachine) -> None:
        """Ask a machine to start, because a schedule says so."""
        self._power.start(machine)

    def verify(self, capture: Capture) -> None:
        """Test that an image can be restored, unless that is under way."""
        name = f"restore test of {capture.image} ({capture.operation[:12]})"
        if name not in self._tests:
            self._tests.add(name)
            self._supervisor.start(name, lambda: self._test(capture, name), may_end=True)

    def armed(self, machine: str) -> None:
        """Tell the machine's agent that there is work."""
        self._notifier.signal(machine)

    def images(self) -> dict[str, ObservedImage]:
        """Return the named images as they were last read."""
        return self._images

    def images_away(self, *, to_write: bool = False) -> str:
        """Return why images cannot be read now, or written, as a clause; empty where they can."""
        problem = self.store.problem
        if problem is None and to_write and self._presence.is_read_only:
            problem = StoreAwayError(self.store.root, READ_ONLY)
        return problem.wait if problem is not None else ""

    def asked(self) -> None:
        """Take notice that a machine is to be looked at soon."""
        self._news.set()

    def observes_only(self) -> bool:
        """Return whether the ledger may not be the one that was written."""
        return self._guard.observe_only is not None

    def may_act(self) -> bool:
        """Return whether machines may act on what the ledger says now."""
        return self._guard.may_act()

    def enter_observe_only(self, code: str, cause: str) -> None:
        """Begin nothing any more until a person has accepted the ledger."""
        self._guard.enter(code, cause)

    # --- what runs ---------------------------------------------------------------

    def _start_tasks(self, stack: AsyncExitStack) -> None:
        start = self._supervisor.start
        start("reconcile", self._reconcile, essential=True)
        start("ledger", self._follow_ledger, essential=True)
        start("hearing", self._watch_hearing)
        start("ledger witness", self._watch_ledger)
        start("authority", self._follow_authority)
        start("rollouts", self._keep_rollouts)
        stack.push_async_callback(self._end_asks)
        if self._settings.unattended:
            start("schedules", self._keep_schedules)
        start("packages", self._mirroring.run)
        start("what machines say", self._write_heard)
        start("image store", lambda: self._presence.run(self._store_came_back))
        start("images", self._read_images)
        start("retention of images", self._keep_images)
        start("scrub of images", self._scrubbing.run)
        start("evidence of runs", self._evidence.prune_for_ever)
        start("inventories", self._inventory.prune_for_ever)
        start("results of updates", self._updates.prune_for_ever)
        start("files of machines", self._machine_files.prune_for_ever)
        start("network boot", self._netboot.watch)
        start("health", self._watch_health)
        manager = ServiceManager()
        watchdog = Watchdog(manager, lambda: self._supervisor.error is None)
        start("watchdog", watchdog.run)
        manager.ready()
        stack.callback(manager.stopping)

    async def _reconcile(self) -> None:
        """Reconcile machines one at a time; whatever else waits has a turn in between."""
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            until = loop.time() + _SLICE
            while self.reconciler.step():
                if loop.time() >= until:
                    await asyncio.sleep(0)
                    until = loop.time() + _SLICE
            await self._rest()

    async def _rest(self) -> None:
        """Wait until a machine is due or somebody asks."""
        due = self.reconciler.next_time()
        left = None if due is None else max(0.0, (due - self._clock()).total_seconds())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), left)

    async def _follow_ledger(self) -> None:
        while True:
            more = False
            with suppress(StateError):  # another process writes: the next look sees it
                more = self.reconciler.follow_ledger()
                more = self.reconciler.delays.write() or more
                self.locker.follow()
            await asyncio.sleep(0 if more else LEDGER_INTERVAL)

    async def _watch_hearing(self) -> None:
        """Have whatever is waited for counted anew where the server could not hear."""
        while True:
            news = self._hearing.news()
            if news is not None:
                say = log.warning if news.clock_was_set else log.info
                say("machines are listened to anew", code="RW630", cause=news.cause)
                self.reconciler.listen_anew(clock_was_set=news.clock_was_set)
            await asyncio.sleep(BEAT_SECONDS)

    async def _watch_ledger(self) -> None:
        """See whether the ledger is the one that was written; begin again once it is accepted."""
        is_accepted = False
        while True:
            with suppress(StateError):  # another process writes: the next look sees it
                is_accepted = self._guard.look() or is_accepted
                if is_accepted:
                    self.reconciler.use(self.reconciler.fleet, self.reconciler.hardware)
                    self.asked()
                    is_accepted = False
                    log.info("the ledger is accepted")
            await asyncio.sleep(LEDGER_INTERVAL)

    async def _follow_authority(self) -> None:
        """Take over keys that another process rolled over, and renew the server's certificate."""
        while True:
            is_quiet = not self.reconciler.keys_at_work()
            if self._tls.look(is_quiet=is_quiet):
                self.plane.use_endpoint(self._endpoint())
            await asyncio.sleep(AUTHORITY_INTERVAL)

    def _endpoint(self) -> AgentEndpoint:
        url = f"https://{self.place.address}:{self._settings.https_port}"
        return AgentEndpoint(url, self._tls.pin)

    async def _keep_schedules(self) -> None:
        """Carry out schedules piece by piece; the clock may jump, so that it is asked often."""
        while True:
            more = False
            with suppress(StateError):  # another process writes: the next look goes on
                more = not self.observes_only() and self.schedules.step()
            await asyncio.sleep(0 if more else SCHEDULE_INTERVAL)

    async def _keep_rollouts(self) -> None:
        """Open wave after wave, and have the health of their machines looked at."""
        while True:
            with suppress(StateError):  # another process writes: the next look goes on
                if not self.observes_only():
                    self.rollouts.step()
                    for look in self.rollouts.looks():
                        task = asyncio.create_task(self._ask(look))
                        self._asks.add(task)
                        task.add_done_callback(self._asks.discard)
            await asyncio.sleep(ROLLOUT_INTERVAL)

    async def _ask(self, look: Look) -> None:
        """Look at one machine's health: brief, and whatever goes wrong is what it found."""
        try:
            problem = await self._health.problem(look)
        except Exception as error:  # noqa: BLE001 - of one machine
            problem = one_line(error)
        self.rollouts.looked(look, problem)

    async def _end_asks(self) -> None:
        for task in self._asks:
            task.cancel()
        await asyncio.gather(*self._asks, return_exceptions=True)

    async def _write_heard(self) -> None:
        """Write boot requests and what agents said, some of them at a time."""
        while True:
            waits = self._write_some()
            await asyncio.sleep(0 if waits else WRITE_INTERVAL)

    def _write_some(self) -> bool:
        """Return whether more waits to be written."""
        boots, machines = self.reconciler.boots, self.reconciler.machines
        try:
            boots.write()
            machines.write()
        except StateError as error:
            log.debug("what machines said waits", code=error.code, cause=error.cause)
            return False
        return boots.waiting > 0 or machines.heard > 0

    def _write_last(self) -> None:
        with suppress(StateError):
            self.reconciler.boots.write_all()
            self.reconciler.machines.write_all()

    async def _read_images(self) -> None:
        while True:
            await self._look_at_images()
            await asyncio.sleep(IMAGES_INTERVAL)

    def _write_in_store(self, write: Callable[[], None]) -> None:
        """Have a small file written in the image store, if that is there, which may hang."""

        def careful() -> None:
            self.store.require_there()
            write()

        self._witness_in_store(careful)

    def _store_came_back(self) -> None:
        """Go on with what waited for the image store, once it was read."""
        task = asyncio.create_task(self._go_on_with_store())
        self._asks.add(task)
        task.add_done_callback(self._asks.discard)

    async def _go_on_with_store(self) -> None:
        await self._begin_with_store()
        self.reconciler.store_is_back()

    async def _keep_images(self) -> None:
        await self._image_keeper.prune_for_ever(lambda: self.reconciler.fleet, self.observes_only)

    async def _watch_health(self) -> None:
        """Keep a fault for each task and each port that fails, until it works again."""
        while True:
            failing = {
                **{f"port/{name}": cause for name, cause in self._netboot.defects.items()},
                **{
                    f"task/{task.name}": task.cause
                    for task in self._supervisor.health()
                    if task.failing_seconds is not None
                },
            }
            for subject, cause in failing.items():
                self._note_fault(subject, cause)
            for subject in self._faulty.difference(failing):
                self._end_fault(subject)
            await asyncio.sleep(HEALTH_INTERVAL)

    def _note_fault(self, subject: str, cause: str) -> None:
        with suppress(StateError):
            self.reconciler.faults.record(subject, "RW791", cause, self._clock())
            self._faulty.add(subject)

    def _end_fault(self, subject: str) -> None:
        with suppress(StateError):
            self.reconciler.faults.end(subject)
            self._faulty.discard(subject)

    async def _test(self, capture: Capture, name: str) -> None:
        """Test that an image can be restored, and let its name point to it if so.

        What says nothing about the image ends the test, and it is tried again later: for want of
        room until there is some, else as often as work is attempted.
        """
        work = self._settings.state / _TESTS
        work.mkdir(mode=0o700, exist_ok=True)
        if self.store.problem is not None:
            raise self.store.problem
        try:
            failpoint("restore-test.before")
            tested = await in_own_thread(
                partial(run_restore_test, self.store, capture.manifest, work), "restore test"
            )
            failpoint("restore-test.after")
            problem = "" if tested.ok else "; ".join(tested.details)
            if tested.ok:
                await in_own_thread(partial(self._name, capture), "image store")
        except (UnwritableFileError, StoreAwayError):
            raise
        except CodedError as error:
            problem = f"{error.code}: {error.cause}"
        except Exception as error:
            await in_store(self.store, self.store.require_there)  # it may be the store that is away
            count = self._failed_tests[name] = self._failed_tests.get(name, 0) + 1
            problem = why_given_up(error, count)
            if not problem:
                raise
        self._failed_tests.pop(name, None)
        self.plane.captures.record_restore_test(capture, problem)
        self._tests.discard(name)
        await self._look_at_images()
        for status in self.plane.ledger.operations(op_id=capture.operation):
            self.reconciler.ask(self.reconciler.key_of(status.operation))

    def _name(self, capture: Capture) -> None:
        (status,) = self.plane.ledger.operations(op_id=capture.operation)
        machine, operations = status.operation.machine, self.reconciler.operations
        now, sign = self._clock(), self._signed_images.sign
        name_captured(self.store, operations, capture, machine, now, sign)

    # --- where it listens --------------------------------------------------------

    def _new_netboot(self, database: Database) -> NetbootServer:
        place = self.place
        configuration = NetbootConfiguration(
            interface=place.name,
            address=place.address,
            networks=lambda: tuple(self.reconciler.fleet.networks.values()),
            reservations=lambda: self._reservations,
            boot_files=self._settings.boot_files,
            http=f"http://{place.address}:{self._settings.http_port}",
            now=self._clock,
        )
        decisions = BootDecisions(self.plane, self.reconciler, self._clock)
        return NetbootServer(configuration, decisions, StoredLeases(database))

    @staticmethod
    def _reserved(fleet: CompiledFleet) -> Reservations:
        return Reservations(
            (machine.macs[0], address.ip)
            for machine in fleet.machines.values()
            for address in machine.addresses
        )

    async def _listen(self, stack: AsyncExitStack) -> None:
        firmware = web.Application(middlewares=[self._connections.middleware])
        firmware.add_routes(self._netboot.routes())
        services = AgentServices(
            self.plane,
            self.authority,
            self.store,
            self._notifier,
            self._contradictions,
            self._evidence,
            self._inventory,
            WorkContent(self.packages.store, self._settings.read_files, self._releases()),
            self.packages.store,
            self._updates,
            self._machine_files,
        )
        agents = web.Application(
            middlewares=[self._connections.middleware, busy_as_unavailable(self._hearing.missed)]
        )
        agents.add_routes(agent_routes(services))
        firmware.add_routes(self._fleet_lock.routes(self._locks_in_plain_http))
        agents.add_routes(self._fleet_lock.routes(lambda: self.locker.is_enabled))
        await self._accept(stack, "firmware", firmware, self._settings.http_port, None)
        await self._accept(stack, "agents", agents, self._settings.https_port, self._tls.context)
        self._supervisor.start("slow connections", self._connections.sweep)

    def _releases(self) -> SignedReleases:
        return SignedReleases(self.packages.releases, self.authority.sign_release)

    def _locks_in_plain_http(self) -> bool:
        return self.locker.is_enabled and self.reconciler.fleet.settings.reboot_lock.plain_http

    async def _accept(
        self,
        stack: AsyncExitStack,
        name: str,
        application: web.Application,
        port: int,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        """Serve an application on a port, for as long as the service runs."""
        runner = web.AppRunner(application, **self._connections.runner_options())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            sock = self._connections.listen(str(self.place.address), port)
        except OSError as error:
            place = self.place
            raise bind_error(error, "tcp", place.address, port, place.name) from error
        stack.callback(sock.close)
        accept = partial(self._connections.accept, sock, runner, tls)
        self._supervisor.start(f"connections of {name}", accept, essential=True)


def why_given_up(error: Exception, times: int) -> str:
    """Return why a restore test that broke off is not tried again; empty where it is.

    For want of room it is tried until there is some.
    """
    wants_room = isinstance(error, OSError) and error.errno in _WANT_OF_ROOM
    if wants_room or times < DEFAULT_WAITS.attempts:
        return ""
    return f"RW634: the test did not come to its end, {times} times: {one_line(error)}"
