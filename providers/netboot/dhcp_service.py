"""One DHCP datagram in, at most one out: codec, decision and policy joined. No sockets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

import structlog

from providers.netboot import dhcp_server_policy, proxy_policy
from providers.netboot.address_choice import ServerContext
from providers.netboot.boot_policy import BootData, boot_data
from providers.netboot.boot_service import BootService
from providers.netboot.client_text import printable
from providers.netboot.decision import BootRequest, DeployOS
from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, MessageType
from providers.netboot.dhcp_reply import destination
from providers.netboot.errors import MalformedPacketError, Problem
from providers.netboot.firmware import Chain, Firmware, architecture, classify
from specs.fleet import CompiledNetwork

_BOOT_MESSAGES = (MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP payload and where it goes."""

    payload: bytes
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class DhcpService:
    """Answers DHCP on one interface, for its own network and those behind relays."""

    boots: BootService
    reservations: Callable[[], Mapping[str, IPv4Address]]

    def receive(self, payload: bytes, source: str) -> Datagram | None:
        """Return the answer to a datagram that came to port 67."""
        message = self._read(payload, source)
        network = self._network(message) if message is not None else None
        if message is None or network is None:
            return None
        if network.dhcp_mode == "server":
            return self._lease(message, network, source)
        if network.dhcp_mode == "proxy":
            return self._offer(message, source)
        return None

    def receive_proxy(self, payload: bytes, source: str, port: int) -> Datagram | None:
        """Return the answer to a datagram that came to port 4011.

        It goes back to where it came from: firmware asks from port 68 or 4011.
        """
        message = self._read(payload, source)
        network = self._network(message) if message is not None else None
        if message is None or network is None or network.dhcp_mode != "proxy":
            return None
        firmware = classify(message.options)
        boot = self._boot(message, firmware, "proxy-dhcp", source)
        reply = proxy_policy.acknowledge(message, boot, self.boots.site.address)
        return None if reply is None else Datagram(encode(reply), source, port)

    def _read(self, payload: bytes, source: str) -> DhcpMessage | None:
        try:
            message = decode(payload)
        except MalformedPacketError as error:
            log.warning("malformed DHCP packet", source=source, reason=error.cause)
            return None
        return message if message.op == 1 else None

    def _network(self, message: DhcpMessage) -> CompiledNetwork | None:
        """Return the network that the client is on: the relay's, else our own."""
        here = self.boots.site.address if message.giaddr == UNSPECIFIED else message.giaddr
        return next((net for net in self.boots.networks() if here in net.subnet), None)

    def _lease(
        self, message: DhcpMessage, network: CompiledNetwork, source: str
    ) -> Datagram | None:
        firmware = classify(message.options)
        boot = self._boot(message, firmware, "dhcp", source)
        site, leases = self.boots.site, self.boots.leases
        context = ServerContext(network, site.address, self.reservations(), self.boots.now())
        outcome = dhcp_server_policy.answer(message, boot, context, leases)
        if outcome.drop is not None:
            leases.drop(outcome.drop)
        if outcome.put is not None:
            leases.put(outcome.put)
        log.info("dhcp", mac=message.chaddr, network=network.name, outcome=outcome.detail)
        if outcome.problem is not None:
            self._report(message, "dhcp", source, outcome.problem)
        if outcome.reply is None:
            return None
        address, port = destination(outcome.reply)
        return Datagram(encode(outcome.reply), str(address), port)

    def _offer(self, message: DhcpMessage, source: str) -> Datagram | None:
        firmware = classify(message.options)
        if message.message_type is not MessageType.DISCOVER:
            # The rest of the conversation is the site's own DHCP server's.
            self.boots.note(_request(message, firmware, "proxy-dhcp", source))
            return None
        boot = self._boot(message, firmware, "proxy-dhcp", source)
        reply = proxy_policy.offer(message, boot, firmware, self.boots.site.address)
        if reply is None:
            return None
        address, port = destination(reply)
        return Datagram(encode(reply), str(address), port)

    def _boot(
        self,
        message: DhcpMessage,
        firmware: Firmware | None,
        route: Literal["dhcp", "proxy-dhcp"],
        source: str,
    ) -> BootData | None:
        """Ask what the machine boots; note what asks for no decision."""
        request = _request(message, firmware, route, source)
        if firmware is None or message.message_type not in _BOOT_MESSAGES:
            self.boots.note(request)
            return None
        chain = firmware.chain if route == "dhcp" else firmware.beside
        answer = self.boots.decide(request)
        problem = self._obstacle(firmware, chain) if isinstance(answer, DeployOS) else None
        if problem is not None:
            self._report(message, route, source, problem)
            chain = None
        return boot_data(answer, chain, firmware, message.chaddr, self.boots.site)

    def _obstacle(self, firmware: Firmware, chain: Chain | None) -> Problem | None:
        """Return why this firmware cannot be sent to the Deploy-OS, although it may."""
        if chain is not None:
            return self.boots.files.missing(chain.needs)
        defects = f": {firmware.defects}" if firmware.defects else ""
        return Problem(
            "RW310",
            f"there is no way to the Deploy-OS for firmware {firmware.name!r}{defects}",
            "Let the machine boot by PXE, x64 UEFI or BIOS, or from boot media",
        )

    def _report(
        self,
        message: DhcpMessage,
        route: Literal["dhcp", "proxy-dhcp"],
        source: str,
        problem: Problem,
    ) -> None:
        log.error("dhcp problem", mac=message.chaddr, code=problem.code, problem=str(problem))
        uuid, arch = message.options.uuid, _arch(message)
        self.boots.note(BootRequest(route, message.chaddr, uuid, arch, source, str(problem)))


def _request(
    message: DhcpMessage,
    firmware: Firmware | None,
    route: Literal["dhcp", "proxy-dhcp"],
    source: str,
) -> BootRequest:
    parts = [message.message_type.name, f"xid {message.xid:08x}"]
    if firmware is None:
        parts.append(f"no network boot ({printable(message.options.vendor_class) or 'no class'})")
    else:
        parts.append(firmware.name)
    if message.secs:
        parts.append(f"{message.secs} s after its start")
    if message.giaddr != UNSPECIFIED:
        parts.append(f"through relay {message.giaddr}")
    arch = None if firmware is None else _arch(message)
    uuid = message.options.uuid
    return BootRequest(route, message.chaddr, uuid, arch, source, ", ".join(parts))


def _arch(message: DhcpMessage) -> int:
    return architecture(message.options)
