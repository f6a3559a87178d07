"""The TFTP server's socket and thread. What a name stands for is decided elsewhere."""

import logging
import resource
import selectors
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from ipaddress import IPv4Address
from typing import BinaryIO

from providers.descriptors import SHORT_OF_DESCRIPTORS
from providers.netboot.client_text import printable
from providers.netboot.log_rate import FailureLog
from providers.netboot.tftp_session import (
    Ending,
    ReadRequest,
    TftpSession,
    error_packet,
    parse_request,
)
from providers.netboot.udp_socket import bound_socket
from providers.netboot.unanswered import Silence, Unanswered

FILE_NOT_FOUND = 1
_UNDEFINED, _ACCESS_VIOLATION, _ILLEGAL = 0, 2, 4
_TICK_SECONDS = 0.25
_DATAGRAM = 65536
_REQUESTS_AT_ONCE = 32
_MOST_TRANSFERS = 2000
_MOST_PER_SOURCE = 64
_MOST_WAITING = 1024
_DESCRIPTOR_PAUSE = 0.25

Client = tuple[str, int]


OpenFile = Callable[[str, str], "Future[BinaryIO | None]"]
"""Name and the client's address -> the file, None if there is none. Called in the server's
thread; it must return at once. The server closes the file."""

Ended = Callable[[str, str], None]
"""Called in the server's thread after each transfer: the client's address, and how it went."""


class TftpServer:
    """Serves downloads from one address in a thread of its own.

    The thread never waits for a file to be opened, so a slow control plane holds
    up no running transfer. So many transfers run at once as a quarter of the descriptors
    allows, and ``per_source`` of one address; other requests wait their turn, and more than
    ``_MOST_WAITING`` are told to ask again.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where, what to serve, whom to tell
        self,
        interface: str,
        address: IPv4Address,
        port: int,
        open_file: OpenFile,
        ended: Ended,
        unanswered: Unanswered,
        *,
        per_source: int = _MOST_PER_SOURCE,
    ) -> None:
        self._interface = interface
        self._address = address
        self._asked_port = port
        self._open_file = open_file
        self._ended = ended
        self._unanswered = unanswered
        self._most_per_source = per_source
        self._most = self._now_at_most = _MOST_TRANSFERS
        self._failures = FailureLog()
        self._sources: Counter[str] = Counter()
        self._waiting: OrderedDict[Client, tuple[ReadRequest, bytes]] = OrderedDict()
        self._resume_at = 0.0
        self._room_made = False
        self._sessions: dict[Client, tuple[TftpSession, bytes, float]] = {}
        self._opening: dict[Client, tuple[ReadRequest, bytes]] = {}
        self._opened: deque[tuple[Client, bytes, Future[BinaryIO | None]]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        # tftpy logs every packet; what matters is told through ``ended`` instead.
        logging.getLogger("tftpy").setLevel(logging.CRITICAL)

    @property
    def port(self) -> int:
        """Return the bound port, after ``start``."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def is_serving(self) -> bool:
        """Return whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Bind and serve. Raises ``TerminalError``."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(min(_MOST_TRANSFERS, descriptors // 4), 4)
        self._now_at_most = self._most
        self._socket = bound_socket(self._interface, self._address, self._asked_port)
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
                self._guarded(self._start_waiting)
                if time.monotonic() >= next_tick:
                    self._guarded(self._tick)
                    next_tick = time.monotonic() + _TICK_SECONDS
            for client in list(self._sessions):
                self._end(client, "server stopped")

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run one step; a defect in it must not end the service for all machines."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - contained
            self._failures.report("TFTP step failed", error)

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
            self._unanswered.count(Silence.MALFORMED, "tftp", client[0])
        elif request == "illegal":
            self._refuse(client, _ILLEGAL, "a request without a name or a mode")
        elif request == "write":
            self._refuse(client, _ACCESS_VIOLATION, "this server only sends files")
        elif request.mode != "octet":
            # Sent as they are, files would come out damaged: netascii changes line ends.
            self._refuse(client, _UNDEFINED, "only octet (binary) mode is served")
        elif not self._is_repetition(client, data):
            self._queue(client, request, data)

    def _is_repetition(self, client: Client, data: bytes) -> bool:
        """Return whether the request is already being answered.

        A late copy of the request must not end the transfer that runs (RFC 1123 section
        4.2.3.1). A client may also use its port again for another request, or for the same
        after it gave up, without telling; the first transfer ends then.
        """
        for pending in (self._waiting, self._opening):
            if client in pending:
                return pending[client][1] == data
        if client not in self._sessions:
            return False
        session, first, _ = self._sessions[client]
        if first == data and not session.is_unheard:
            return True
        self._end(client, "stopped by the client")
        return False

    def _queue(self, client: Client, request: ReadRequest, data: bytes) -> None:
        if self._has_room(client):
            self._open(client, request, data)
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting[client] = (request, data)
        else:
            self._unanswered.count(
                Silence.TOO_MANY, "tftp", client[0], name=printable(request.name)
            )
            self._refuse(client, _UNDEFINED, "too many transfers, ask again in a minute")

    def _has_room(self, client: Client) -> bool:
        return (
            len(self._sessions) + len(self._opening) < self._now_at_most
            and self._sources[client[0]] < self._most_per_source
            and time.monotonic() >= self._resume_at
        )

    def _open(self, client: Client, request: ReadRequest, data: bytes) -> None:
        former = self._opening.get(client)
        self._opening[client] = (request, data)
        if former is None:
            self._sources[client[0]] += 1
        future = self._open_file(request.name, client[0])

        def opened(future: Future[BinaryIO | None]) -> None:
            self._opened.append((client, data, future))
            self._wake()

        future.add_done_callback(opened)

    def _start_opened(self) -> None:
        while self._opened:
            client, data, future = self._opened.popleft()
            waiting = self._opening.get(client)
            if waiting is not None and waiting[1] == data:
                del self._opening[client]
            else:
                waiting = None  # the client made another request meanwhile
            error = CancelledError() if future.cancelled() else future.exception()
            file = None if error is not None else future.result()
            if waiting is None:
                if file is not None:
                    file.close()
            elif error is not None:
                self._not_started(client, waiting, error)
            elif file is None:
                self._release(client)
                self._refuse(client, FILE_NOT_FOUND, f"{waiting[0].name}: file not found")
            else:
                self._start(client, *waiting, file)

    def _start(self, client: Client, request: ReadRequest, data: bytes, file: BinaryIO) -> None:
        now = time.monotonic()
        try:
            session = TftpSession(request, file, client, str(self._address))
        except OSError as error:
            self._not_started(client, (request, data), error)
            return
        self._sessions[client] = (session, data, now)
        self._selector.register(
            session.socket, selectors.EVENT_READ, lambda: self._receive(client, session)
        )
        try:
            session.start(now)
        except OSError:
            self._end(client, "stopped by the client")

    def _not_started(
        self, client: Client, waiting: tuple[ReadRequest, bytes], error: BaseException
    ) -> None:
        """Wait for descriptors if that is what it lacks; never say that the file is not there."""
        self._release(client)
        name = printable(waiting[0].name)
        self._failures.report("TFTP transfer not started", error, source=client[0], name=name)
        if isinstance(error, OSError) and error.errno in SHORT_OF_DESCRIPTORS:
            self._slow_down()
            self._waiting[client] = waiting
            self._waiting.move_to_end(client, last=False)
        else:
            self._refuse(client, _UNDEFINED, "the server cannot send it now, ask again")

    def _slow_down(self) -> None:
        """Pause, then go on with half as many transfers at once; each that ends adds one."""
        now = time.monotonic()
        if now >= self._resume_at:
            self._resume_at = now + _DESCRIPTOR_PAUSE
            self._now_at_most = max((len(self._sessions) + len(self._opening)) // 2, 1)

    def _start_waiting(self) -> None:
        """Start requests that have waited, in their order, as far as there is room."""
        if not self._room_made:
            return
        self._room_made = False
        for client in list(self._waiting):
            if self._has_room(client):
                self._open(client, *self._waiting.pop(client))

    def _release(self, client: Client) -> None:
        source = client[0]
        self._room_made = True
        self._sources[source] -= 1
        if self._sources[source] <= 0:
            del self._sources[source]

    def _receive(self, client: Client, session: TftpSession) -> None:
        if self._sessions.get(client, (None,))[0] is not session:
            return  # replaced earlier in the same round
        ending = session.receive(time.monotonic())
        if ending is not None:
            self._end(client, ending)

    def _tick(self) -> None:
        now = time.monotonic()
        self._room_made = True
        for client, (session, _, _) in list(self._sessions.items()):
            ending = session.tick(now)
            if ending is not None:
                self._end(client, ending)

    def _end(self, client: Client, ending: Ending) -> None:
        session, _, started = self._sessions.pop(client)
        self._release(client)
        self._now_at_most = min(self._now_at_most + 1, self._most)
        self._selector.unregister(session.socket)
        session.close()
        seconds, name = time.monotonic() - started, printable(session.request.name)
        self._ended(client[0], f"{name} {ending}: {session.sent} bytes in {seconds:.1f} s")

    def _refuse(self, client: Client, code: int, text: str) -> None:
        with suppress(OSError):
            self._socket.sendto(error_packet(code, text), client)
