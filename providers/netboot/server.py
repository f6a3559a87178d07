"""Network boot on one interface: DHCP, ProxyDHCP, TFTP, and the routes for HTTP."""

import asyncio
import io
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

import structlog
from aiohttp import web

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
from providers.netboot.dhcp_endpoint import DhcpEndpoint, Receive, open_endpoint
from providers.netboot.dhcp_service import Datagram, DhcpService
from providers.netboot.errors import InterfaceError
from providers.netboot.http_routes import routes
from providers.netboot.leases import LeaseStore
from providers.netboot.tftp_server import TftpServer, Transfer
from specs.fleet import CompiledNetwork

_HTTP_BASE = re.compile(r"http://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_HTTP_LIMIT = 90
"""Base URL, path and MAC must fit DHCP's file field of 128 bytes."""

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

    ``address`` is ours on ``interface``; it stands in every answer. ``networks``
    and ``reservations`` (MAC -> address) are asked anew for each packet, so they
    follow Git without a restart. ``http`` is the base URL under which machines
    reach ``NetbootServer.routes``, plain HTTP, without a final slash.
    """

    interface: str
    address: IPv4Address
    networks: Callable[[], Sequence[CompiledNetwork]]
    reservations: Callable[[], Mapping[str, IPv4Address]]
    boot_files: Path
    http: str
    ports: Ports = field(default_factory=Ports)
    now: Callable[[], datetime] = _utc_now

    def __post_init__(self) -> None:
        """Raise ``InterfaceError`` for an ``http`` that iPXE could not be told."""
        if not _HTTP_BASE.fullmatch(self.http) or len(self.http) > _HTTP_LIMIT:
            raise InterfaceError(
                "RW312",
                f"the boot address {self.http!r} is not http://HOST[:PORT] "
                f"of at most {_HTTP_LIMIT} characters",
                "Give the address under which machines reach this server by plain HTTP",
            )


class NetbootServer:
    """Owns the sockets of network boot on one interface.

    ``authority`` and ``leases`` are used in the thread of the event loop that
    ``start`` runs in, whichever protocol asks.
    """

    def __init__(
        self, configuration: NetbootConfiguration, authority: BootAuthority, leases: LeaseStore
    ) -> None:
        self._configuration = configuration
        self._files = BootFiles(configuration.boot_files)
        self._boots = BootService(
            authority,
            leases,
            self._files,
            BootSite(configuration.address, configuration.http),
            configuration.networks,
            configuration.now,
        )
        self._dhcp = DhcpService(self._boots, configuration.reservations)
        self._tftp: TftpServer | None = None
        self._endpoints: dict[str, DhcpEndpoint] = {}

    @property
    def ports(self) -> Ports:
        """Return the ports in use; 0 for what is not served now."""
        bound = {name: endpoint.port for name, endpoint in self._endpoints.items()}
        tftp = self._tftp.port if self._tftp is not None else 0
        return Ports(bound.get("dhcp", 0), bound.get("proxy", 0), tftp)

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes to add to the application that serves ``http``."""
        return routes(self._boots)

    async def start(self) -> None:
        """Bind everything, or nothing. Raises ``PortTakenError`` or ``InterfaceError``."""
        configuration = self._configuration
        self._loop = asyncio.get_running_loop()
        tftp = TftpServer(
            configuration.interface,
            configuration.address,
            configuration.ports.tftp,
            self._open_from_thread,
            self._ended_in_thread,
        )
        try:
            tftp.start()
            self._tftp = tftp
            await self.refresh()
        except BaseException:
            await self.stop()
            raise
        log.info("network boot serves", interface=configuration.interface, ports=self.ports)

    async def refresh(self) -> None:
        """Open or close the DHCP ports as the networks' modes want it now.

        Call it when the fleet has changed: where no network uses DHCP from here,
        ports 67 and 4011 stay free for another service. Raises as ``start`` does.
        """
        modes = {network.dhcp_mode for network in self._configuration.networks()}
        ports = self._configuration.ports
        await self._serve("dhcp", ports.dhcp, self._receive, wanted=bool(modes - {"off"}))
        await self._serve("proxy", ports.proxy, self._dhcp.receive_proxy, wanted="proxy" in modes)

    async def stop(self) -> None:
        """Free all ports; running transfers break off."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        # The transports close their sockets in the loop's next round.
        await asyncio.sleep(0)
        if self._tftp is not None:
            await asyncio.to_thread(self._tftp.stop)
            self._tftp = None

    async def _serve(self, name: str, port: int, receive: Receive, *, wanted: bool) -> None:
        if wanted and name not in self._endpoints:
            configuration = self._configuration
            self._endpoints[name] = await open_endpoint(
                configuration.interface, configuration.address, port, receive
            )
        elif not wanted and name in self._endpoints:
            self._endpoints.pop(name).close()

    def _receive(self, payload: bytes, source: str, _port: int) -> Datagram | None:
        return self._dhcp.receive(payload, source)

    def _open_from_thread(self, name: str, source: str) -> Future[BinaryIO | None]:
        """Have the event loop's thread open a file for TFTP's."""
        future: Future[BinaryIO | None] = Future()

        def opening() -> None:
            try:
                future.set_result(self._open(name, source))
            except Exception as error:
                log.exception("TFTP file not opened", name=name, source=source)
                future.set_exception(error)

        self._call_in_loop(opening)
        return future

    def _ended_in_thread(self, transfer: Transfer) -> None:
        detail = (
            f"{printable(transfer.name)} {transfer.ending}: "
            f"{transfer.sent} bytes in {transfer.seconds:.1f} s"
        )
        self._call_in_loop(lambda: self._boots.note_transfer("tftp", transfer.source, detail))

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
        return path.open("rb") if path else None
