"""Network boot on one interface: DHCP, ProxyDHCP, TFTP, and the routes for HTTP."""

import asyncio
import io
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

import structlog
from aiohttp import web

from agent.errors import CodedError, TerminalError, one_line
from providers.netboot.boot_files import BootFiles
from providers.netboot.boot_policy import BootSite
from providers.netboot.boot_script import (
    GRUB_CONFIG,
    GRUB_CONFIG_PATH,
    GRUB_MACHINE_PATH,
    parse_mac,
)
from providers.netboot.boot_service import BootService
from providers.netboot.client_text import printable
from providers.netboot.decision import BootAuthority
from providers.netboot.dhcp_endpoint import DhcpEndpoint
from providers.netboot.dhcp_service import Datagram, DhcpService
from providers.netboot.http_routes import routes
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import LeaseStore
from providers.netboot.log_rate import FailureLog
from providers.netboot.served_fleet import Reservations, ServedFleet
from providers.netboot.shared_files import SharedFiles
from providers.netboot.tftp_server import TftpServer
from providers.netboot.unanswered import Unanswered
from specs.fleet import CompiledNetwork

_HTTP_BASE = re.compile(r"http://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_HTTP_LIMIT = 90
"""Base URL, path and MAC must fit DHCP's file field of 128 bytes."""

_WATCH_SECONDS = 1.0
_DHCP_PORTS = ("dhcp", "proxy")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """UDP ports; 0 takes a free one. Firmware knows no others: the rest is for tests."""

    dhcp: int = 67
    proxy: int = 4011
    tftp: int = 69


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NetbootConfiguration:
    """What one server needs to know.

    ``address`` is ours on ``interface``; it stands in every answer. ``networks`` and
    ``reservations`` are asked at the start and by ``NetbootServer.refresh``, so they
    follow Git without a restart. ``http`` is the base URL under which machines
    reach ``NetbootServer.routes``, plain HTTP, without a final slash.
    """

    interface: str
    address: IPv4Address
    networks: Callable[[], Sequence[CompiledNetwork]]
    reservations: Callable[[], Reservations]
    boot_files: Path
    http: str
    ports: Ports = field(default_factory=Ports)
    now: Callable[[], datetime] = _utc_now

    def __post_init__(self) -> None:
        """Raise ``TerminalError`` for an ``http`` that iPXE could not be told."""
        if not _HTTP_BASE.fullmatch(self.http) or len(self.http) > _HTTP_LIMIT:
            raise TerminalError(
                "RW312",
                f"the boot address {self.http!r} is not http://HOST[:PORT] "
                f"of at most {_HTTP_LIMIT} characters",
                "Give the address under which machines reach this server by plain HTTP",
            )


class NetbootServer:
    """Owns the sockets of network boot on one interface.

    ``authority`` and ``leases`` are used in the thread of the event loop that
    ``start`` runs in, whichever protocol asks. ``watch`` has to run beside it.
    """

    def __init__(
        self, configuration: NetbootConfiguration, authority: BootAuthority, leases: LeaseStore
    ) -> None:
        self._configuration = configuration
        self._files = BootFiles(configuration.boot_files)
        self._shared = SharedFiles()
        self._fleet = ServedFleet()
        self._leases = LeaseTable(leases)
        self._unanswered = Unanswered()
        self._boots = BootService(
            authority,
            self._leases,
            self._files,
            BootSite(configuration.address, configuration.http),
            lambda: self._fleet,
            configuration.now,
        )
        self._dhcp = DhcpService(self._boots, self._unanswered)
        self._tftp: TftpServer | None = None
        self._endpoints: dict[str, DhcpEndpoint] = {}
        self._defects: dict[str, str] = {}
        self._failures = FailureLog()

    @property
    def ports(self) -> Ports:
        """Return the ports in use; 0 for what is not served now."""
        bound = {name: endpoint.port for name, endpoint in self._endpoints.items()}
        tftp = self._tftp.port if self._tftp is not None else 0
        return Ports(bound.get("dhcp", 0), bound.get("proxy", 0), tftp)

    @property
    def defects(self) -> Mapping[str, str]:
        """Return what is not served now although it should be, and why: dhcp, proxy, tftp."""
        return self._defects

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes to add to the application that serves ``http``."""
        return routes(self._boots)

    async def start(self) -> None:
        """Bind everything, or nothing. Raises ``TerminalError``."""
        self._loop = asyncio.get_running_loop()
        try:
            self._serve_fleet()
            self._start_tftp()
            for name in _DHCP_PORTS:
                self._serve(name)
        except BaseException:
            await self.stop()
            raise
        interface = self._configuration.interface
        log.info("network boot serves", interface=interface, ports=self.ports)

    async def refresh(self) -> None:
        """Follow the fleet: its networks, reservations, and which DHCP ports they need.

        Where no network uses DHCP from here, ports 67 and 4011 stay free for another
        service. A port that cannot be opened is a line in the log and one of ``defects``,
        and ``watch`` tries again: everything else is served meanwhile.
        """
        self._serve_fleet()
        self._mend()

    async def watch(self) -> None:
        """Open again what fails while it serves, for ever: a task for a supervisor.

        An interface that was made anew leaves its sockets deaf without an error.
        """
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._mend()

    async def stop(self) -> None:
        """Free all ports; running transfers break off."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        if self._tftp is not None:
            await asyncio.to_thread(self._tftp.stop)
            self._tftp = None

    def _serve_fleet(self) -> None:
        configuration = self._configuration
        self._fleet = ServedFleet(configuration.networks(), configuration.reservations())
        self._leases.serve(self._fleet, configuration.address)

    def _mend(self) -> None:
        """Bring each port to what the fleet wants; what fails is tried again later."""
        self._attempt("tftp", self._restart_tftp)
        for name in _DHCP_PORTS:
            self._attempt(name, partial(self._serve, name))

    def _attempt(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except (CodedError, OSError) as error:
            self._defects[name] = one_line(error)
            self._failures.report(f"{name} is not served", error)
        else:
            if self._defects.pop(name, None) is not None:
                log.info("port is served again", name=name)

    def _serve(self, name: str) -> None:
        """Open, close or open again one of the DHCP ports. Raises as ``start`` does."""
        modes = {network.dhcp_mode for network in self._fleet.networks}
        wanted = bool(modes - {"off"}) if name == "dhcp" else "proxy" in modes
        endpoint = self._endpoints.get(name)
        defect = endpoint.defect if endpoint is not None else ""
        if endpoint is not None and (defect or not wanted):
            if defect:
                log.warning("DHCP socket is deaf", name=name, reason=defect)
            del self._endpoints[name]
            endpoint.close()
        if wanted and name not in self._endpoints:
            configuration = self._configuration
            is_dhcp = name == "dhcp"
            port = configuration.ports.dhcp if is_dhcp else configuration.ports.proxy
            receive = self._receive if is_dhcp else self._dhcp.receive_proxy
            self._endpoints[name] = DhcpEndpoint(
                configuration.interface, configuration.address, port, receive
            )

    def _start_tftp(self) -> None:
        configuration = self._configuration
        tftp = TftpServer(
            configuration.interface,
            configuration.address,
            configuration.ports.tftp,
            self._open_from_thread,
            self._ended_in_thread,
            self._unanswered,
        )
        tftp.start()
        self._tftp = tftp

    def _restart_tftp(self) -> None:
        if self._tftp is not None and self._tftp.is_serving:
            return
        if self._tftp is not None:
            self._tftp.stop()
            self._tftp = None
        self._start_tftp()

    def _receive(self, payload: bytes, source: str, _port: int) -> Datagram | None:
        return self._dhcp.receive(payload, source)

    def _open_from_thread(self, name: str, source: str) -> Future[BinaryIO | None]:
        """Have the event loop's thread open a file for TFTP's."""
        future: Future[BinaryIO | None] = Future()

        def opening() -> None:
            try:
                future.set_result(self._open(name, source))
            except Exception as error:
                log.debug("TFTP file not opened", source=source, exc_info=error)
                future.set_exception(error)

        self._call_in_loop(opening)
        return future

    def _ended_in_thread(self, source: str, detail: str) -> None:
        self._call_in_loop(lambda: self._boots.note_transfer("tftp", source, detail))

    def _call_in_loop(self, action: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # the loop is closed: the process ends
            log.debug("TFTP outlived the event loop")

    def _open(self, name: str, source: str) -> BinaryIO | None:
        """Return what a TFTP name stands for: a script of ours, else a boot file."""
        relative = name.lstrip("/")
        if relative == GRUB_CONFIG_PATH:
            self._boots.note_transfer("tftp", source, f"RRQ {relative}")
            return io.BytesIO(GRUB_CONFIG.encode())
        if relative.startswith(GRUB_MACHINE_PATH):
            mac = parse_mac(relative.removeprefix(GRUB_MACHINE_PATH))
            return io.BytesIO(self._boots.script("grub", mac, source).encode()) if mac else None
        path = self._files.find(name)
        found = "" if path else ": no such file"
        self._boots.note_transfer("tftp", source, f"RRQ {printable(relative)}{found}")
        return self._shared.open(path) if path else None
