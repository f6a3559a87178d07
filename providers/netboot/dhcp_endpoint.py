"""UDP sockets for DHCP: bound to one interface, answering from one address."""

import asyncio
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address

import structlog

from providers.netboot.dhcp_service import Datagram
from providers.netboot.udp_socket import broadcast_socket

Receive = Callable[[bytes, str, int], Datagram | None]
"""Payload, source address and source port -> the answer."""

_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it

log = structlog.get_logger(__name__)


class DhcpEndpoint(asyncio.DatagramProtocol):
    """One port. Made by ``open_endpoint``; ``close`` frees the port."""

    def __init__(self, sock: socket.socket, source: IPv4Address, receive: Receive) -> None:
        self._socket = sock
        self._receive = receive
        # struct in_pktinfo: any interface (the socket is bound to one), our address.
        self._from = struct.pack("=i4s4s", 0, source.packed, bytes(4))
        self._transport: asyncio.BaseTransport | None = None

    @property
    def port(self) -> int:
        """Return the bound port."""
        port: int = self._socket.getsockname()[1]
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for ``close``."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram; whatever goes wrong with it ends with it."""
        try:
            answer = self._receive(data, addr[0], addr[1])
        except Exception:
            log.exception("DHCP answer failed", source=addr[0])
            return
        if answer is not None:
            self._send(answer)

    def error_received(self, exc: Exception) -> None:
        """Log what ICMP says about an earlier answer."""
        log.debug("DHCP socket", reason=str(exc))

    def close(self) -> None:
        """Free the port."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, answer: Datagram) -> None:
        """Send from our address: EDK2 drops answers from any but option 54's.

        Left alone the kernel takes the interface's first address. A full buffer
        loses the datagram, as the network may: clients ask again.
        """
        control = [(socket.IPPROTO_IP, _IP_PKTINFO, self._from)]
        try:
            self._socket.sendmsg([answer.payload], control, 0, (answer.address, answer.port))
        except OSError as error:
            log.warning("DHCP answer not sent", to=answer.address, reason=str(error))


async def open_endpoint(
    interface: str, address: IPv4Address, port: int, receive: Receive
) -> DhcpEndpoint:
    """Return an endpoint that hears ``port`` on ``interface`` and answers from ``address``.

    Raises ``PortTakenError`` or ``InterfaceError``.
    """
    sock = broadcast_socket(interface, port)
    loop = asyncio.get_running_loop()
    _, endpoint = await loop.create_datagram_endpoint(
        lambda: DhcpEndpoint(sock, address, receive), sock=sock
    )
    return endpoint
