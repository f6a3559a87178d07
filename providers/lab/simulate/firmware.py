"""A BIOS with a PXE ROM, from power-on to what it boots. Runs in the machine's network.

    ROM:  DHCP ──no answer, or no file──▶ next boot device
            │ file by TFTP (its first block; then iPXE is taken to run)
    iPXE: DHCP ──no file──▶ next boot device
            │ script by HTTP ──▶ kernel and RAM disk (their first KiB) or next boot device

Beside another DHCP server (ProxyDHCP) the offer with an address and the one with boot data come
from two servers; where the latter names no file, its port 4011 is asked.
"""

import http.client
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from urllib.parse import urlsplit

from agent.clock import Clock
from providers.lab.simulate import nic, tftp_client
from providers.lab.simulate.boot_script import (
    AnotherScript,
    KernelBoot,
    ScriptError,
    read_script,
)
from providers.lab.simulate.dhcp_client import DhcpClient, Loader, is_answer
from providers.lab.simulate.machine_list import MachineSettings
from providers.netboot.dhcp_codec import decode
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, MessageType
from providers.netboot.errors import MalformedPacketError
from providers.netboot.firmware import PXE_CLASS

_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds for the answer to each DISCOVER; a ROM waits 4 to 32 s (PXE specification 2.1, 2.2.4)."""
_GATHER = 0.2
"""Seconds to wait for a second offer where the first lacks an address or boot data."""
_DATAGRAM = 65536
_HTTP_SECONDS = 30.0
_PROXY_PORT = 4011
_XIDS = 1 << 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NextDevice:
    """The network has nothing to boot: the disk's turn. ``reason`` is for people."""

    reason: str


Boot = KernelBoot | NextDevice


@dataclass(frozen=True, slots=True)
class _Network:
    """What DHCP said: who this machine is, and what it boots from where."""

    address: IPv4Interface
    server: IPv4Address
    file: str


def network_boot(machine: MachineSettings, clock: Clock) -> Boot:
    """Ask the network what to boot.

    Every failure is the next boot device, as in a BIOS; the address that was leased stays.
    ``clock.pause`` ends it when the power goes.
    """
    try:
        rom = _configure(machine, "rom", clock)
        if not rom.file:
            return NextDevice("the ROM was told no file")
        tftp_client.first_block(rom.server, rom.file)
        ipxe = _configure(machine, "ipxe", clock)
        if not ipxe.file:
            return NextDevice("iPXE was told no file")
        found = read_script(_get(ipxe.file).decode("utf-8"))
        while isinstance(found, AnotherScript):
            clock.pause(found.seconds)
            found = read_script(_get(found.url).decode("utf-8"))
        if found is None:
            return NextDevice("the boot script says so")
        for url in found.files:
            _get(url, first=1024)
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        return NextDevice(f"the network failed: {error}")
    except (tftp_client.TransferError, ScriptError, _SilenceError) as error:
        return NextDevice(str(error))
    return found


class _SilenceError(Exception):
    """No DHCP server answers."""


def _configure(machine: MachineSettings, loader: Loader, clock: Clock) -> _Network:
    """Get an address and boot data, and take the address."""
    client = DhcpClient(machine.mac, machine.uuid, loader)
    nic.set_address(None)
    with closing(nic.dhcp_socket()) as sock:
        xid = int(clock.chance() * _XIDS)  # for all of them: a late answer counts too
        for attempt, seconds in enumerate(_WAITS):
            _broadcast(sock, client.discover(xid, 4 * attempt))
            offers = list(
                _heard(sock, xid, machine.mac, (MessageType.OFFER,), seconds, clock, complete)
            )
            leased = next((offer for offer in offers if offer.yiaddr != UNSPECIFIED), None)
            if leased is None:
                continue
            _broadcast(sock, client.request(xid, leased, 4 * attempt))
            kinds = (MessageType.ACK, MessageType.NAK)
            taken = list(_heard(sock, xid, machine.mac, kinds, seconds, clock, bool))
            if taken and taken[0].message_type is MessageType.ACK:
                address = IPv4Interface((taken[0].yiaddr, _prefix(taken[0])))
                nic.set_address(address)
                return _network(address, [taken[0], *offers], client, clock)
    raise _SilenceError("no DHCP server answers")


def complete(offers: list[DhcpMessage]) -> bool:
    """Return whether these offers have an address and say something about booting."""
    leased = any(offer.yiaddr != UNSPECIFIED for offer in offers)
    return leased and any(offer.file or offer.options.vendor_class for offer in offers)


def _network(
    address: IPv4Interface, said: list[DhcpMessage], client: DhcpClient, clock: Clock
) -> _Network:
    """Return what is booted; asks port 4011 of a boot server that named no file."""
    boots = [each for each in said if each.file] or [each for each in said if _is_proxy(each)]
    if not boots:
        return _Network(address, UNSPECIFIED, "")
    boot = boots[0]
    if not boot.file:
        boot = _asked(boot, address, client, clock) or boot
    return _Network(address, boot.siaddr, boot.file)


def _is_proxy(offer: DhcpMessage) -> bool:
    """Return whether a boot server beside the DHCP server wants to be asked on port 4011."""
    options = offer.options
    return (
        offer.yiaddr == UNSPECIFIED
        and offer.siaddr != UNSPECIFIED
        and options.vendor_class.startswith(PXE_CLASS)
        and not options.vendor_options
    )


def _asked(
    offer: DhcpMessage, address: IPv4Interface, client: DhcpClient, clock: Clock
) -> DhcpMessage | None:
    xid = int(clock.chance() * _XIDS)
    request = client.proxy_request(xid, address.ip)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for seconds in _WAITS[:2]:
            sock.sendto(request, (str(offer.siaddr), _PROXY_PORT))
            kinds = (MessageType.ACK,)
            for answer in _heard(sock, xid, client.mac, kinds, seconds, clock, bool):
                return answer
    return None


def _heard(  # noqa: PLR0913, PLR0917 - what is waited for has that many sides
    sock: socket.socket,
    xid: int,
    mac: str,
    kinds: tuple[MessageType, ...],
    seconds: float,
    clock: Clock,
    enough: Callable[[list[DhcpMessage]], bool],
) -> Iterator[DhcpMessage]:
    """Yield answers until there are enough, or for so long; a little longer after the first."""
    end = clock.monotonic() + seconds
    found: list[DhcpMessage] = []
    while not enough(found) and (left := end - clock.monotonic()) > 0:
        sock.settimeout(left)
        try:
            message = decode(sock.recv(_DATAGRAM))
        except (TimeoutError, MalformedPacketError):
            continue
        if is_answer(message, xid, mac, *kinds):
            if not found:
                end = min(end, clock.monotonic() + _GATHER)
            found.append(message)
            yield message


def _broadcast(sock: socket.socket, message: bytes) -> None:
    sock.sendto(message, ("255.255.255.255", 67))


def _prefix(reply: DhcpMessage) -> int:
    mask = reply.options.subnet_mask
    return 24 if mask is None else int(mask).bit_count()


def _get(url: str, first: int = 0) -> bytes:
    """Return what is at an http:// address, or its first bytes. Raises OSError, HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=_HTTP_SECONDS
    )
    with closing(connection):
        headers = {"User-Agent": "iPXE/simulated"}
        if first:
            headers["Range"] = f"bytes=0-{first - 1}"
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
            raise http.client.HTTPException(f"{url}: status {answer.status}")
        return answer.read(first) if first else answer.read()
