"""One DHCP datagram in, at most one out: codec, decision and policy joined. No sockets."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import structlog

from agent.errors import one_line
from providers.netboot import dhcp_server_policy, proxy_policy
from providers.netboot.address_choice import ServerContext
from providers.netboot.boot_policy import BootData, boot_data
from providers.netboot.boot_service import BootService
from providers.netboot.client_text import printable
from providers.netboot.decision import BootRequest, LocalDisk
from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, MessageType
from providers.netboot.dhcp_reply import CLIENT_PORT, destination
from providers.netboot.errors import MalformedPacketError, Problem
from providers.netboot.firmware import Chain, Firmware, architecture, classify
from providers.netboot.log_rate import LogRate
from providers.netboot.unanswered import Silence, Unanswered
from specs.fleet import CompiledNetwork

T = TypeVar("T")
_BOOT_MESSAGES = (MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP payload and where it goes."""

    payload: bytes
    address: str
    port: int


class DhcpService:
    """Answers DHCP on one interface, for its own network and those behind relays.

    Whatever goes wrong with one packet ends with it.
    """

    def __init__(self, boots: BootService, unanswered: Unanswered) -> None:
        self.boots = boots
        self._unanswered = unanswered
        self._problems = LogRate()

    def receive(self, payload: bytes, source: str) -> Datagram | None:
        """Return the answer to a datagram that came to port 67."""
        return self._contained(self._receive, payload, source)

    def receive_proxy(self, payload: bytes, source: str, port: int) -> Datagram | None:
        """Return the answer to a datagram that came to port 4011.

        It goes back to where it came from: firmware asks from port 68 or 4011.
        """
        reply = self._contained(self._receive_proxy, payload, source)
        return None if reply is None else Datagram(encode(reply), source, port)

    def _contained(
        self, receive: Callable[[DhcpMessage, str], T | None], payload: bytes, source: str
    ) -> T | None:
        try:
            message = decode(payload)
            if message.op == 1:
                return receive(message, source)
            self._unanswered.count(Silence.NO_REQUEST, "dhcp", source)
        except MalformedPacketError as error:
            self._unanswered.count(Silence.MALFORMED, "dhcp", source, detail=error.cause)
        except Exception as error:
            self._unanswered.count(Silence.FAILED, "dhcp", source, detail=one_line(error))
            log.debug("DHCP packet not answered", source=source, exc_info=error)
        return None

    def _receive(self, message: DhcpMessage, source: str) -> Datagram | None:
        network = self._network(message)
        if network is None:
            self._silent(Silence.NO_NETWORK, message, "dhcp", source)
        elif network.dhcp_mode == "server":
            return self._lease(message, network, source)
        elif network.dhcp_mode == "proxy":
            return self._offer(message, source)
        else:
            self._silent(Silence.DHCP_OFF, message, "dhcp", source)
        return None

    def _receive_proxy(self, message: DhcpMessage, source: str) -> DhcpMessage | None:
        network = self._network(message)
        if network is None or network.dhcp_mode != "proxy":
            silence = Silence.NO_NETWORK if network is None else Silence.NO_PROXY
            self._silent(silence, message, "proxy-dhcp", source)
            return None
        firmware = classify(message.options)
        boot = self._boot(message, firmware, "proxy-dhcp", source)
        reply = proxy_policy.acknowledge(message, boot, self.boots.site.address)
        if reply is None:
            self._unanswered.count(Silence.LOCAL_DISK, "proxy-dhcp", source, mac=message.chaddr)
        return reply

    def _network(self, message: DhcpMessage) -> CompiledNetwork | None:
        """Return the network that the client is on, None if it is none of ours.

        The first that is given says so: the relay's link selection (RFC 3527) and the
        client's subnet selection (RFC 3011), which are meant to go before the relay's own
        address; that address; the client's own one, with which a renewal, an INFORM or a
        question on port 4011 comes from behind a router without a relay (RFC 2131 section
        4.3.2); our interface.
        """
        options = message.options
        given = [options.link_selection, options.subnet_selection, message.giaddr]
        if message.message_type is not MessageType.DISCOVER:
            given.append(message.ciaddr)
        named = (address for address in given if address not in (None, UNSPECIFIED))
        return self.boots.fleet().network_of(next(named, None) or self.boots.site.address)

    def _lease(
        self, message: DhcpMessage, network: CompiledNetwork, source: str
    ) -> Datagram | None:
        boot = self._boot(message, classify(message.options), "dhcp", source)
        boots, leases = self.boots, self.boots.leases
        reservations = boots.fleet().reservations
        context = ServerContext(network, boots.site.address, reservations, boots.now())
        outcome = dhcp_server_policy.answer(message, boot, context, leases)
        if outcome.drop is not None:
            leases.drop(outcome.drop)
        if outcome.put is not None:
            leases.put(outcome.put)
        is_lease = outcome.put is not None and outcome.put.state == "bound"
        tell = log.info if is_lease else log.debug
        tell("dhcp", mac=message.chaddr, network=network.name, outcome=outcome.detail)
        if outcome.problem is not None:
            self._report(message, "dhcp", source, outcome.problem)
        if outcome.silence is not None:
            # What has a problem stands in the timeline already.
            told = outcome.problem is not None
            self._silent(outcome.silence, message, "dhcp", source, in_timeline=not told)
        if outcome.reply is None:
            return None
        address, port = destination(outcome.reply)
        is_routed = message.giaddr == UNSPECIFIED and boots.site.address not in network.subnet
        if is_routed and message.ciaddr != UNSPECIFIED:
            # A broadcast, which a refusal else is, would not reach it.
            address, port = message.ciaddr, CLIENT_PORT
        return Datagram(encode(outcome.reply), str(address), port)

    def _offer(self, message: DhcpMessage, source: str) -> Datagram | None:
        firmware = classify(message.options)
        if message.message_type is not MessageType.DISCOVER:
            # The rest of the conversation is the site's own DHCP server's.
            self.boots.note(_request(message, firmware, "proxy-dhcp", source))
            self._unanswered.count(Silence.SITE_SERVER, "proxy-dhcp", source, mac=message.chaddr)
            return None
        boot = self._boot(message, firmware, "proxy-dhcp", source)
        reply = proxy_policy.offer(message, boot, firmware, self.boots.site.address)
        if reply is None:
            silence = Silence.SITE_SERVER if firmware is None else Silence.LOCAL_DISK
            self._unanswered.count(silence, "proxy-dhcp", source, mac=message.chaddr)
            return None
        address, port = destination(reply)
        return Datagram(encode(reply), str(address), port)

    def _silent(
        self,
        silence: Silence,
        message: DhcpMessage,
        route: Literal["dhcp", "proxy-dhcp"],
        source: str,
        *,
        in_timeline: bool = True,
    ) -> None:
        """Count a packet that is not answered, and tell the machine's timeline once in a while."""
        mac = message.chaddr
        relay = "" if message.giaddr == UNSPECIFIED else str(message.giaddr)
        self._unanswered.count(silence, route, source, mac=mac, relay=relay)
        if in_timeline and self._unanswered.is_news(silence, mac):
            request = _request(message, classify(message.options), route, source)
            self.boots.note(replace(request, detail=f"{request.detail}: not answered, {silence}"))

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
        problem = None if isinstance(answer, LocalDisk) else self._obstacle(firmware, chain)
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
        kept = self._problems.admit((problem.code, message.chaddr))
        if kept is None:
            return
        log.error(
            "dhcp problem",
            mac=message.chaddr,
            code=problem.code,
            problem=str(problem),
            not_logged=kept,
        )
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
    return BootRequest(route, message.chaddr, uuid, arch, source, ", ".join(parts), _relay(message))


def _relay(message: DhcpMessage) -> str | None:
    """Return the relay's address; None where a unicast says nothing of the way that it takes."""
    if message.giaddr != UNSPECIFIED:
        return str(message.giaddr)
    return "" if message.message_type is MessageType.DISCOVER else None


def _arch(message: DhcpMessage) -> int:
    return architecture(message.options)
