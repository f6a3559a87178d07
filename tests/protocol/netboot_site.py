"""A network boot server for real clients, on loopback or in a network namespace."""

import ctypes
import os
import subprocess
import threading
from asyncio import (
    AbstractEventLoop,
    Event,
    create_task,
    get_running_loop,
    run,
    run_coroutine_threadsafe,
)
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from builders.leases import InMemoryLeaseStore

from providers.netboot.lease_table import LeaseTable
from providers.netboot.served_fleet import Reservations
from providers.netboot.server import NetbootConfiguration, NetbootServer, Ports
from tests.unit.netboot_world import RecordingAuthority

_CLONE_NEWNET = 0x40000000


def run_program(*arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)


def must(*arguments: str) -> str:
    done = run_program(*arguments)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Namespace:
    """One network namespace; programs run in it by ``run``."""

    name: str

    def command(self, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *arguments]

    def run(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return run_program(*self.command(*arguments), timeout=timeout)

    def ip(self, *arguments: str) -> None:
        must("ip", "-n", self.name, *arguments)

    def enter(self) -> None:
        """Move the calling thread, and the threads that it will start, into the namespace."""
        with Path(f"/run/netns/{self.name}").open() as handle:
            if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Segment:
    """An Ethernet with a server, a machine and another server on it, all namespaces."""

    server: Namespace
    machine: Namespace
    other: Namespace


@contextmanager
def segment(mac: str) -> Iterator[Segment]:
    """Build three namespaces around a bridge, with unique names, and remove them."""
    names = [f"rwnb{os.getpid()}{part}" for part in ("s", "m", "o")]
    server, machine, other = (Namespace(name) for name in names)
    try:
        for name in names:
            must("ip", "netns", "add", name)
        server.ip("link", "add", "rack0", "type", "bridge")
        server.ip("address", "add", "10.77.0.1/24", "dev", "rack0")
        server.ip("link", "set", "rack0", "up")
        server.ip("link", "set", "lo", "up")
        for end, peer in ((machine, "machine"), (other, "other")):
            server.ip("link", "add", peer, "type", "veth", "peer", "nic0", "netns", end.name)
            server.ip("link", "set", peer, "master", "rack0", "up")
        machine.ip("link", "set", "nic0", "address", mac, "up")
        other.ip("address", "add", "10.77.0.2/24", "dev", "nic0")
        other.ip("link", "set", "nic0", "up")
        yield Segment(server, machine, other)
    finally:
        for name in names:
            run_program("ip", "netns", "delete", name)


@dataclass
class RunningSite:
    """The server in its own thread; ``authority`` and ``leases`` can be looked at."""

    authority: RecordingAuthority
    leases: LeaseTable
    server: NetbootServer
    ports: Ports = field(default_factory=Ports)

    refresh: Callable[[], None] = field(default=lambda: None)
    """Have the server follow its networks' modes."""

    def noted(self) -> list[str]:
        return [request.detail for request in self.authority.noted]


@contextmanager
def serving(  # noqa: PLR0913 (a site has that many sides)
    boot_files: Path,
    networks: list,
    authority: RecordingAuthority,
    *,
    namespace: Namespace | None = None,
    interface: str = "lo",
    address: str = "127.0.0.1",
    ports: Ports | None = None,
) -> Iterator[RunningSite]:
    """Run a ``NetbootServer`` in a thread, inside ``namespace`` if there is one."""
    configuration = NetbootConfiguration(
        interface=interface,
        address=IPv4Address(address),
        networks=lambda: tuple(networks),
        reservations=Reservations,
        boot_files=boot_files,
        http=f"http://{address}:8080",
        ports=ports or Ports(),
        now=lambda: datetime.now(UTC),
    )
    server = NetbootServer(configuration, authority, InMemoryLeaseStore())
    site = RunningSite(authority, server._leases, server)
    thread = _ServerThread(site, namespace)
    thread.start()
    thread.ready.wait(10)
    try:
        if thread.error is not None:
            raise thread.error
        yield site
    finally:
        thread.finish()
        thread.join(10)
        assert not thread.is_alive()


class _ServerThread(threading.Thread):
    def __init__(self, site: RunningSite, namespace: Namespace | None) -> None:
        super().__init__(name="site")
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self._site = site
        self._namespace = namespace
        self._loop: AbstractEventLoop | None = None
        self._end: Event | None = None

    def run(self) -> None:
        try:
            if self._namespace is not None:
                self._namespace.enter()
            run(self._serve())
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            self.error = error
        finally:
            self.ready.set()

    def finish(self) -> None:
        if self._loop is not None and self._end is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)

    def _refresh(self) -> None:
        assert self._loop is not None
        run_coroutine_threadsafe(self._site.server.refresh(), self._loop).result(10)

    async def _serve(self) -> None:
        self._loop, self._end = get_running_loop(), Event()
        await self._site.server.start()
        self._site.ports = self._site.server.ports
        self._site.refresh = self._refresh
        self.ready.set()
        watching = create_task(self._site.server.watch())
        try:
            await self._end.wait()
        finally:
            watching.cancel()
            await self._site.server.stop()
