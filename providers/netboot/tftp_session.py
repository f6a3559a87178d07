"""One TFTP download (RFC 1350, 2347 to 2349).

tftpy reads and writes what a transfer needs once. A block and its acknowledgement, of which a
kernel needs thousands, are four bytes of header and made here, and requests are read here.
"""

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketOACK
from tftpy.TftpShared import TftpException

Ending = Literal["complete", "stopped by the client", "not acknowledged", "server stopped"]

BLOCK_LIMIT = 1468
"""What fits an Ethernet frame with IP, UDP and TFTP headers. RFC 2348 lets the server
answer with less than was asked for; firmware that asks for more often cannot put
fragments together."""

_BLOCK = 512
_RRQ, _WRQ, _DATA, _ACK = b"\0\1", b"\0\2", b"\0\3", b"\0\4"
_HEADER = 4
_MOST_TEXTS = 64
"""Of a request: name, mode, and each option's name and value."""
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


def parse_request(data: bytes) -> ReadRequest | Literal["write", "illegal"] | None:
    """Return the read request, ``write`` for a WRQ, None for what is no request.

    tftpy refuses what firmware sends in fact: bytes beyond ASCII in and behind the name
    (shim), options without a value, zeros behind the last one, a last text without its end.
    No read request is left without an answer, or its client waits for half a minute;
    ``illegal`` is one without a name or a mode. Names are what bytes they are
    (``os.fsdecode``).
    """
    if data[:2] == _WRQ:
        return "write"
    if data[:2] != _RRQ:
        return None
    name, mode, *rest = [*data[2:].split(b"\0"), b"", b""][:_MOST_TEXTS]
    if not name or not mode:
        return "illegal"
    texts = [text.decode("latin-1") for text in rest]
    pairs = zip(texts[::2], texts[1::2], strict=False)
    options = tuple((key, value) for key, value in pairs if key)
    return ReadRequest(os.fsdecode(name), mode.decode("latin-1").lower(), options)


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

    Why it is not tftpy's server: ``docs/decisions/0005-netboot-chain.md``.
    """

    def __init__(
        self, request: ReadRequest, file: BinaryIO, client: tuple[str, int], address: str
    ) -> None:
        """Take over ``file``. Raises ``OSError``, and the file is closed then."""
        self.request = request
        self.sent = 0
        """Bytes sent so far, without repetitions."""
        self._file = file
        self._wait = _FIRST_WAIT
        self._tries = 1
        self._deadline = 0.0
        self._block_size = _BLOCK
        self._block = 0
        self._first_block = 0
        self._last_packet = b""
        self._is_last_block = False
        try:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError:
            file.close()
            raise
        try:
            # From the address that the client asked, and hearing nobody else.
            self.socket.bind((address, 0))
            self.socket.connect(client)
        except OSError:
            self.close()
            raise
        self.socket.settimeout(0)

    @property
    def is_unheard(self) -> bool:
        """Return whether the client may not know of this transfer, or have given it up."""
        return self._tries > 1 and self._block != self._first_block

    def start(self, now: float) -> None:
        """Send the OACK, or the first block. Raises ``OSError``."""
        size = self._file.seek(0, 2)
        self._file.seek(0)
        options = negotiate(dict(self.request.options), size)
        self._deadline = now + self._wait
        if options:
            self._block_size = int(options.get("blksize", _BLOCK))
            packet = TftpPacketOACK()
            packet.options = options
            self._send(packet.encode().buffer)
        else:
            self._first_block = 1
            self._send_next()

    def receive(self, now: float) -> Ending | None:
        """Take one datagram from the socket; return how the transfer ended, if it did."""
        try:
            data = self.socket.recv(_DATAGRAM)
            if data[:2] != _ACK or len(data) < _HEADER:
                return self._other(data)
            if data[2:4] != (self._block & 0xFFFF).to_bytes(2):
                return None  # of an earlier block: answering it would double every packet
            if self._is_last_block:
                return "complete"
            self._send_next()
        except BlockingIOError:
            return None
        except OSError:  # the client's host says that nobody listens any more
            return "stopped by the client"
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
            self._send(self._last_packet)
        except OSError:
            return "stopped by the client"
        return None

    def close(self) -> None:
        """Close file and socket."""
        self._file.close()
        self.socket.close()

    def _other(self, data: bytes) -> Ending | None:
        try:
            packet = TftpPacketFactory().parse(data)
        except GARBAGE:
            return None
        return "stopped by the client" if isinstance(packet, TftpPacketERR) else None

    def _send_next(self) -> None:
        content = self._file.read(self._block_size)
        self._block += 1
        self._is_last_block = len(content) < self._block_size
        self.sent += len(content)
        self._send(_DATA + (self._block & 0xFFFF).to_bytes(2) + content)

    def _send(self, packet: bytes) -> None:
        self._last_packet = packet
        try:
            self.socket.send(packet)
        except BlockingIOError:
            return  # lost, as it may be in the network: it is sent again
