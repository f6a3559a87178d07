"""The control plane as one process: netboot, HTTP for firmware and agents, reconcile loop."""

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Self

import structlog
from aiohttp import web
from cryptography import x509

from agent.errors import CodedError, UnwritableFileError
from providers.imaging.http import routes as chunk_routes
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from providers.netboot.port_holder import bind_error
from providers.netboot.server import NetbootConfiguration, NetbootServer
from reconciler.errors import ReconcilerError
from reconciler.loop.approval import approve, unattended
from reconciler.loop.follow_up import Decision, Prove, Wake
from reconciler.planning.planner import plan
from reconciler.server.agent_api import AgentApi
from reconciler.server.control_plane import SERVER, AgentEndpoint, ControlPlane
from reconciler.server.enrollment import Enroller
from reconciler.server.local_interface import local_interface
from reconciler.server.power import Power
from reconciler.server.wake_up import WakeUp
from reconciler.state.database import Database
from reconciler.state.images import observed_images
from reconciler.state.leases import StoredLeases
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context
from specs.fleet import CompiledFleet

TICK = 1.0
"""Seconds between looks at the database: what another process approved is seen by then."""

_PLAN_INTERVAL = timedelta(seconds=5)
_PROOF_RETRY = 30.0
_LEFTOVER_AGE = timedelta(days=1)
"""Uploads that broke off longer ago are cleared away."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the control plane keeps its state and where it listens."""

    state: Path
    boot_files: Path
    """Directory of the built Deploy-OS."""
    http_port: int = 8080
    https_port: int = 8443
    unattended: bool = False
    """Whether to start what needs nobody's approval."""


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
        self._database = database
        self._clock = clock
        self._stack = AsyncExitStack()
        self._planned_at = datetime.min.replace(tzinfo=UTC)
        self._proofs: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.store = ChunkStore(settings.state / "store")
        self.wake_up = WakeUp()
        self.place = local_interface(fleet.networks.values())
        self.authority = Authority.load_or_create(settings.state / "trust", clock())
        credentials = self.authority.server_credentials([self.place.address], clock())
        self._tls = server_context(credentials, self.authority.authority_pem)
        self.plane = ControlPlane(
            database,
            fleet,
            AgentEndpoint(f"https://{self.place.address}:{settings.https_port}", credentials.pin),
            lambda: observed_images(self.store),
            clock,
        )
        self.plane.wake = self.wake_up.signal
        self._power = Power(self.place)
        self._netboot = self._new_netboot()

    async def __aenter__(self) -> Self:
        """Start everything; whatever cannot start stops what did."""
        async with AsyncExitStack() as stack:
            stack.enter_context(_lock(self._settings.state))
            self.store.sweep(self._clock() - _LEFTOVER_AGE)
            await self._listen(stack)
            await self._netboot.start()
            stack.push_async_callback(self._netboot.stop)
            loop = asyncio.create_task(self._loop())
            stack.push_async_callback(_cancelled, loop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        for proof in self._proofs.values():
            await _cancelled(proof)
        await self._stack.aclose()

    @property
    def revision(self) -> str:
        """The revision of the fleet that is acted on."""
        return self.plane.desired.revision

    async def use(self, fleet: CompiledFleet) -> None:
        """Go on with another revision of the fleet."""
        self.plane.desired = fleet
        await self._netboot.refresh()
        self.wake_up.signal()

    def _new_netboot(self) -> NetbootServer:
        place = self.place
        configuration = NetbootConfiguration(
            interface=place.name,
            address=place.address,
            networks=lambda: tuple(self.plane.desired.networks.values()),
            reservations=self._reservations,
            boot_files=self._settings.boot_files,
            http=f"http://{place.address}:{self._settings.http_port}",
            now=self._clock,
        )
        return NetbootServer(configuration, self.plane, StoredLeases(self._database))

    def _reservations(self) -> dict[str, IPv4Address]:
        subnet = self.place.network.subnet
        return {
            machine.macs[0]: address.ip
            for machine in self.plane.desired.machines.values()
            for address in machine.addresses
            if address.ip in subnet
        }

    async def _listen(self, stack: AsyncExitStack) -> None:
        firmware = web.Application()
        firmware.add_routes(self._netboot.routes())
        enroller = Enroller(self.plane, self.authority, x509.random_serial_number)
        api = AgentApi(self.plane, enroller, self.store, self.wake_up)
        agents = web.Application(client_max_size=8 * 1024 * 1024)
        agents.add_routes(api.routes())
        agents.add_routes(chunk_routes(self.store, api.authorise))
        for application, port, tls in (
            (firmware, self._settings.http_port, None),
            (agents, self._settings.https_port, self._tls),
        ):
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, str(self.place.address), port, ssl_context=tls)
            try:
                await site.start()
            except OSError as error:
                place = self.place
                raise bind_error(error, "tcp", place.address, port, place.name) from error

    async def _loop(self) -> None:
        while True:
            seen = self.wake_up.generation
            try:
                if self._settings.unattended:
                    self._start_unattended()
                for decision in self.plane.reconcile():
                    self._carry_out(decision)
            except CodedError as error:
                log.warning("reconcile failed", code=error.code, cause=error.cause)
            await self.wake_up.wait(seen, TICK)

    def _start_unattended(self) -> None:
        now = self._clock()
        if now - self._planned_at < _PLAN_INTERVAL:
            return
        self._planned_at = now
        observed = self.plane.observed()
        made = plan(self.plane.desired, observed, now)
        approve(self.plane.ledger, made, unattended(made, observed), SERVER, now)

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Wake(status):
                machine = self.plane.machine_of(status.operation)
                if machine is not None:
                    self._power.wake(machine, status, self._clock())
            case Prove() as prove_capture:
                self._start_proof(prove_capture)
            case _:
                raise AssertionError(f"{decision} is carried out by the control plane")

    def _start_proof(self, wanted: Prove) -> None:
        key = (wanted.capture.operation, wanted.capture.image)
        running = self._proofs.get(key)
        if running is None or running.done():
            self._proofs[key] = asyncio.create_task(self._prove(wanted))

    async def _prove(self, wanted: Prove) -> None:
        capture = wanted.capture
        work = self._settings.state / "proof"
        try:
            work.mkdir(mode=0o700, exist_ok=True)
            proof = await asyncio.to_thread(run_restore_test, self.store, capture.manifest, work)
            problem = "" if proof.ok else "; ".join(proof.details)
            if proof.ok:
                await asyncio.to_thread(self.store.tag, capture.image, capture.manifest)
        except (OSError, UnwritableFileError) as error:
            # Says nothing about the image: most likely the disk is full. Try again later.
            log.error("proof not possible", image=capture.image, cause=str(error))  # noqa: TRY400
            await asyncio.sleep(_PROOF_RETRY)
            return
        except CodedError as error:
            problem = f"{error.code}: {error.cause}"
        self.plane.captures.set_proof(capture, problem)
        self.wake_up.signal()


def is_served(state: Path) -> bool:
    """Return whether a process serves this state directory now."""
    try:
        with _lock(state):
            return False
    except ReconcilerError:
        return True


def _lock(state: Path) -> IO[str]:
    """Return the open lock file of a state directory; closing it gives the lock back."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (state / "server.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise ReconcilerError(
            "RW903",
            f"process {holder or 'unknown'} serves {state} already",
            "Stop it first, or name another directory with --state",
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
