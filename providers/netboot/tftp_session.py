"""One TFTP download, on tftpy's packets and transfer states (RFC 1350, 2347 to 2349)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from tftpy.TftpContexts import TftpContextServer
from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketRRQ, TftpPacketWRQ
from tftpy.TftpShared import TftpException
from tftpy.TftpStates import TftpStateExpectACK

Ending = Literal["complete", "stopped by the client", "not acknowledged", "server stopped"]

BLOCK_LIMIT = 1468
"""What fits an Ethernet frame with IP, UDP and TFTP headers. RFC 2348 lets the server
answer with less than was asked for; firmware that asks for more often cannot put
fragments together."""

_SMALLEST_BLOCK, _LARGEST_BLOCK = 8, 65464
_DATAGRAM = 65536
_FIRST_WAIT = 1.0
_TRIES = 5
"""Five tries with doubled waits: 31 s, as GRUB pauses while it checks a signature."""

GARBAGE = (TftpException, struct.error, ValueError)
"""What tftpy raises for datagrams that are no TFTP, or a kind it does not expect."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A client's RRQ."""

    name: str
    mode: str
    options: tuple[tuple[str, str], ...]


def parse_request(data: bytes) -> ReadRequest | Literal["write"] | None:
    """Return the read request, ``write`` for a WRQ, None for anything else."""
    try:
        packet = TftpPacketFactory().parse(data)
    except GARBAGE:
        return None
    if isinstance(packet, TftpPacketWRQ):
        return "write"
    if not isinstance(packet, TftpPacketRRQ):
        return None
    return ReadRequest(packet.filename, packet.mode, tuple(packet.options.items()))


def error_packet(code: int, text: str) -> bytes:
    """Return an ERROR with our own text, which tftpy cannot put in (RFC 1350 section 5)."""
    return struct.pack("!HH", 5, code) + text.encode("ascii", "replace") + b"\0"


def negotiate(requested: Mapping[str, str], size: int) -> dict[str, str]:
    """Return the options to acknowledge: only ones that were asked for and are valid.

    EDK2 ends a transfer when an OACK names an option that it did not ask for.
    Names are case-insensitive (RFC 2347). Empty means: no OACK, start with data.
    """
    accepted = {}
    for name, value in requested.items():
        number = int(value) if value.isdecimal() and value.isascii() else -1
        if name.lower() == "blksize" and _SMALLEST_BLOCK <= number <= _LARGEST_BLOCK:
            accepted["blksize"] = str(min(number, BLOCK_LIMIT))
        elif name.lower() == "tsize" and number >= 0:
            accepted["tsize"] = str(size)
    return accepted


class TftpSession:
    """Sends one file to one client. Not thread-safe: the server's thread owns it.

    tftpy's own server is not used: it answers options nobody asked for, sends all
    retries at once when other clients keep it busy, takes acknowledgements from
    anyone, and one malformed datagram ends its loop.
    """

    def __init__(
        self, request: ReadRequest, file: BinaryIO, client: tuple[str, int], address: str
    ) -> None:
        self.request = request
        self.client = client
        self._wait = _FIRST_WAIT
        self._tries = 1
        self._deadline = 0.0
        host, port = client
        self._context = TftpContextServer(host, port, _FIRST_WAIT, "", flock=False)
        self._context.fileobj = file
        self._context.file_to_transfer = request.name
        self._context.tidport = port
        self._context.state = TftpStateExpectACK(self._context)
        self.socket = self._context.sock
        try:
            # From the address that the client asked, and hearing nobody else.
            self.socket.bind((address, 0))
            self.socket.connect(client)
        except OSError:
            self.close()
            raise
        self.socket.settimeout(0)

    @property
    def sent(self) -> int:
        """Return the bytes sent so far, without repetitions."""
        count: int = self._context.metrics.bytes
        return count

    @property
    def is_fresh(self) -> bool:
        """Return whether the client has not acknowledged anything yet."""
        return bool(self._context.next_block == self._first_block)

    def start(self, now: float) -> None:
        """Send the OACK, or the first block. Raises ``OSError``."""
        context = self._context
        size = context.fileobj.seek(0, 2)
        context.fileobj.seek(0)
        context.options = negotiate(dict(self.request.options), size)
        self._first_block = 0 if context.options else 1
        context.next_block = self._first_block
        self._deadline = now + self._wait
        if context.options:
            context.state.sendOACK()
        else:
            context.pending_complete = context.state.sendDAT()

    def receive(self, now: float) -> Ending | None:
        """Take one datagram from the socket; return how the transfer ended, if it did."""
        context = self._context
        before = context.next_block
        try:
            packet = context.factory.parse(self.socket.recv(_DATAGRAM))
            if isinstance(packet, TftpPacketERR):
                return "stopped by the client"
            context.state = context.state.handle(packet, *self.client)
        except BlockingIOError:
            return None
        except OSError:  # the client's host says that nobody listens any more
            return "stopped by the client"
        except GARBAGE:
            return None
        if context.state is None:
            return "complete"
        if context.next_block != before:
            self._tries, self._wait = 1, _FIRST_WAIT
            self._deadline = now + self._wait
        return None

    def tick(self, now: float) -> Ending | None:
        """Repeat the last packet if its time has come; return an ending if it is the last."""
        if now < self._deadline:
            return None
        if self._tries == _TRIES:
            return "not acknowledged"
        self._tries += 1
        self._wait *= 2
        self._deadline = now + self._wait
        try:
            self._context.state.resendLast()
        except BlockingIOError:
            return None
        except (OSError, TftpException):
            return "stopped by the client"
        return None

    def close(self) -> None:
        """Close file and socket."""
        self._context.end()
