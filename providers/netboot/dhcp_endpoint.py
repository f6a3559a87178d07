"""UDP sockets for DHCP: bound to one interface, answering from one address."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

import structlog

from providers.netboot.dhcp_service import Datagram
from providers.netboot.log_rate import LogRate
from providers.netboot.udp_socket import ANY, bound_socket

Receive = Callable[[bytes, str, int], Datagram | None]
"""Payload, source address and source port -> the answer. It raises nothing."""

_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_DATAGRAM = 65536
_AT_ONCE = 64
"""Datagrams that are answered before other work of the event loop has its turn."""

log = structlog.get_logger(__name__)


class DhcpEndpoint:
    """One port; ``close`` frees it. Raises ``TerminalError``."""

    def __init__(self, interface: str, source: IPv4Address, port: int, receive: Receive) -> None:
        self._interface = interface
        self._receive = receive
        # struct in_pktinfo: any interface (the socket is bound to one), our address.
        self._from = struct.pack("=i4s4s", 0, source.packed, bytes(4))
        self._rate = LogRate()
        self._error = ""
        self._socket = bound_socket(interface, ANY, port)
        self._index = _index(interface)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def port(self) -> int:
        """Return the bound port."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def defect(self) -> str:
        """Return why the socket hears nothing any more, empty if it is well.

        A socket is bound to an interface by number: made anew under its old name, the
        interface is another.
        """
        if _index(self._interface) != self._index:
            return f"interface {self._interface} was removed or made anew"
        return self._error

    def close(self) -> None:
        """Free the port."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                payload, (source, port) = self._socket.recvfrom(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                # ENETDOWN and the like. Reading stops here; a new socket takes over.
                self._error = error.strerror or str(error)
                self._loop.remove_reader(self._socket)
                return
            answer = self._receive(payload, source, port)
            if answer is not None:
                self._send(answer)

    def _send(self, answer: Datagram) -> None:
        """Send from our address: EDK2 drops answers from any but option 54's.

        Left alone the kernel takes the interface's first address. A full buffer
        loses the datagram, as the network may: clients ask again.
        """
        control = [(socket.IPPROTO_IP, _IP_PKTINFO, self._from)]
        try:
            self._socket.sendmsg([answer.payload], control, 0, (answer.address, answer.port))
        except OSError as error:
            kept = self._rate.admit(error.errno)
            if kept is not None:
                log.warning(
                    "DHCP answer not sent", to=answer.address, reason=str(error), not_logged=kept
                )


def _index(interface: str) -> int:
    with suppress(OSError):
        return socket.if_nametoindex(interface)
    return 0
