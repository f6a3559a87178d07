"""The TFTP server's socket and thread. What a name stands for is decided elsewhere."""

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import BinaryIO

import structlog

from providers.netboot.tftp_session import (
    Ending,
    ReadRequest,
    TftpSession,
    error_packet,
    parse_request,
)
from providers.netboot.udp_socket import unicast_socket

FILE_NOT_FOUND = 1
_UNDEFINED, _ACCESS_VIOLATION = 0, 2
_TICK_SECONDS = 0.25
_DATAGRAM = 65536
_REQUESTS_AT_ONCE = 32

log = structlog.get_logger(__name__)

Client = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A download that ended."""

    name: str
    source: str
    sent: int
    seconds: float
    ending: Ending


OpenFile = Callable[[str, str], "Future[BinaryIO | None]"]
"""Name and the client's address -> the file, None if there is none. Called in the server's
thread; it must return at once. The server closes the file."""

Ended = Callable[[Transfer], None]
"""Called in the server's thread after each transfer."""


class TftpServer:
    """Serves downloads from one address in a thread of its own.

    The thread never waits for a file to be opened, so a slow control plane holds
    up no running transfer.
    """

    def __init__(
        self,
        interface: str,
        address: IPv4Address,
        port: int,
        open_file: OpenFile,
        ended: Ended,
    ) -> None:
        self._interface = interface
        self._address = address
        self._asked_port = port
        self._open_file = open_file
        self._ended = ended
        self._sessions: dict[Client, tuple[TftpSession, bytes, float]] = {}
        self._opening: dict[Client, tuple[ReadRequest, bytes]] = {}
        self._opened: deque[tuple[Client, Future[BinaryIO | None]]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        # tftpy logs every packet; what matters is told through ``ended`` instead.
        logging.getLogger("tftpy").setLevel(logging.CRITICAL)

    @property
    def port(self) -> int:
        """Return the bound port, after ``start``."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Bind and serve. Raises ``PortTakenError`` or ``InterfaceError``."""
        self._socket = unicast_socket(self._interface, self._address, self._asked_port)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="tftp", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Break off all transfers, free the port and wait for the thread."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake()
        self._thread.join()
        self._thread = None
        for sock in (self._socket, self._wake_read, self._wake_write):
            sock.close()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it will wake anyway; closed: nobody is left to wake
            self._wake_write.send(b"\0")

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            self._selector = selector
            selector.register(self._socket, selectors.EVENT_READ, self._accept)
            selector.register(self._wake_read, selectors.EVENT_READ, self._drain)
            next_tick = time.monotonic() + _TICK_SECONDS
            while not self._stopping:
                for key, _ in selector.select(_TICK_SECONDS):
                    self._guarded(key.data)
                self._guarded(self._start_opened)
                if time.monotonic() >= next_tick:
                    self._guarded(self._tick)
                    next_tick = time.monotonic() + _TICK_SECONDS
            for client in list(self._sessions):
                self._end(client, "server stopped")

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run one step; a defect in it must not end the service for all machines."""
        try:
            action()
        except Exception:
            log.exception("TFTP step failed")

    def _drain(self) -> None:
        self._wake_read.recv(_DATAGRAM)

    def _accept(self) -> None:
        """Take the requests that wait, some at a time, so that transfers go on in a storm."""
        for _ in range(_REQUESTS_AT_ONCE):
            try:
                data, client = self._socket.recvfrom(_DATAGRAM)
            except OSError:
                return
            self._take(data, client)

    def _take(self, data: bytes, client: Client) -> None:
        request = parse_request(data)
        if request is None:
            return
        if request == "write":
            self._refuse(client, _ACCESS_VIOLATION, "this server only sends files")
        elif request.mode != "octet":
            # Sent as they are, files would come out damaged: netascii changes line ends.
            self._refuse(client, _UNDEFINED, "only octet (binary) mode is served")
        elif not self._is_repetition(client, data):
            self._open(client, request, data)

    def _is_repetition(self, client: Client, data: bytes) -> bool:
        """Return whether the request is already being answered.

        A client may also use its port again for another request, without waiting
        for the end of the first one, which then ends here.
        """
        if client in self._opening:
            return self._opening[client][1] == data
        if client not in self._sessions:
            return False
        session, first, _ = self._sessions[client]
        if first == data and session.is_fresh:
            return True
        self._end(client, "stopped by the client")
        return False

    def _open(self, client: Client, request: ReadRequest, data: bytes) -> None:
        self._opening[client] = (request, data)
        future = self._open_file(request.name, client[0])

        def opened(future: Future[BinaryIO | None]) -> None:
            self._opened.append((client, future))
            self._wake()

        future.add_done_callback(opened)

    def _start_opened(self) -> None:
        while self._opened:
            client, future = self._opened.popleft()
            waiting = self._opening.pop(client, None)
            file = None if future.cancelled() or future.exception() else future.result()
            if waiting is None:
                if file is not None:
                    file.close()
            elif file is None:
                self._refuse(client, FILE_NOT_FOUND, f"{waiting[0].name}: file not found")
            else:
                self._start(client, *waiting, file)

    def _start(self, client: Client, request: ReadRequest, data: bytes, file: BinaryIO) -> None:
        now = time.monotonic()
        try:
            session = TftpSession(request, file, client, str(self._address))
        except OSError as error:
            file.close()
            log.warning("TFTP transfer not started", source=client[0], reason=str(error))
            return
        self._sessions[client] = (session, data, now)
        self._selector.register(
            session.socket, selectors.EVENT_READ, lambda: self._receive(client, session)
        )
        session.start(now)

    def _receive(self, client: Client, session: TftpSession) -> None:
        if self._sessions.get(client, (None,))[0] is not session:
            return  # replaced earlier in the same round
        ending = session.receive(time.monotonic())
        if ending is not None:
            self._end(client, ending)

    def _tick(self) -> None:
        now = time.monotonic()
        for client, (session, _, _) in list(self._sessions.items()):
            ending = session.tick(now)
            if ending is not None:
                self._end(client, ending)

    def _end(self, client: Client, ending: Ending) -> None:
        session, _, started = self._sessions.pop(client)
        self._selector.unregister(session.socket)
        session.close()
        seconds = time.monotonic() - started
        self._ended(Transfer(session.request.name, client[0], session.sent, seconds, ending))

    def _refuse(self, client: Client, code: int, text: str) -> None:
        with suppress(OSError):
            self._socket.sendto(error_packet(code, text), client)
