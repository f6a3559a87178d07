"""The DHCP server for networks whose addresses are ours to give (RFC 2131). Pure.

``answer`` reads leases and returns the reply together with the changes to record;
it changes nothing itself.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Literal

from providers.netboot.address_choice import ServerContext, choose_address
from providers.netboot.boot_policy import BootData
from providers.netboot.dhcp_message import BROADCAST_FLAG, UNSPECIFIED, DhcpMessage, MessageType
from providers.netboot.dhcp_reply import reply_to
from providers.netboot.errors import Problem
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.unanswered import Silence

OFFER_LIFETIME = timedelta(seconds=60)
"""How long an offered address is kept: the PXE specification's client asks for 60 s at most."""

QUARANTINE = timedelta(hours=1)
"""How long a declined address rests: long enough for a person to find who has it."""

_IPXE_NO_PROXY_DHCP = b"\xb0\x01\x01"
"""iPXE's option 175.176: do not wait for ProxyDHCP offers, there are none to come."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to send and what to record, in this order: ``drop``, ``put``, then the reply.

    ``detail`` is one phrase for logs, ``silence`` why there is no reply where one could be.
    """

    detail: str
    reply: DhcpMessage | None = None
    put: Lease | None = None
    drop: IPv4Address | None = None
    problem: Problem | None = None
    silence: Silence | None = None


def answer(
    message: DhcpMessage, boot: BootData | None, context: ServerContext, leases: LeaseTable
) -> Outcome:
    """Return what a server does about one client message (RFC 2131 section 4.3)."""
    match message.message_type:
        case MessageType.DISCOVER:
            return _discover(message, boot, context, leases)
        case MessageType.REQUEST:
            return _request(message, boot, context, leases)
        case MessageType.DECLINE:
            return _decline(message, context, leases)
        case MessageType.RELEASE:
            return _release(message, context, leases)
        case MessageType.INFORM:
            return Outcome(
                "told the options",
                replace(_granting(message, MessageType.ACK, boot, context), ciaddr=message.ciaddr),
            )
        case _:
            return Outcome("a server's message, ignored", silence=Silence.NO_REQUEST)


def _discover(
    message: DhcpMessage, boot: BootData | None, context: ServerContext, leases: LeaseTable
) -> Outcome:
    choice = choose_address(message.chaddr, message.options.requested_address, context, leases)
    if choice.address is None:
        return Outcome("no address to offer", problem=choice.problem, silence=Silence.NO_ADDRESS)
    reply = _granting(message, MessageType.OFFER, boot, context)
    lease = leases.of_address(choice.address)
    holds = lease is not None and lease.mac == message.chaddr and lease.is_held(context.now)
    return Outcome(
        f"offered {choice.address}",
        _with_address(reply, choice.address, context),
        # A machine that holds the address and asks again keeps its longer lease.
        put=None if holds else _lease(message, choice.address, "offered", context),
        problem=choice.problem,
    )


def _request(
    message: DhcpMessage, boot: BootData | None, context: ServerContext, leases: LeaseTable
) -> Outcome:
    """Answer a REQUEST, whose meaning hangs on which fields are filled (RFC 2131 table 4)."""
    server_id = message.options.server_id
    if server_id is not None and server_id != context.server:
        return _chose_another(message, context, leases)
    wanted = message.ciaddr if message.ciaddr != UNSPECIFIED else message.options.requested_address
    if wanted is None:
        return Outcome("a request that names no address, ignored", silence=Silence.NAMES_NO_ADDRESS)
    if wanted not in context.network.subnet:
        return _refuse(message, f"{wanted} is not in network {context.network.name}", context)
    if _reboots_unknown(message, context, leases):
        # RFC 2131 section 4.3.2: about a client it has no record of a server is silent.
        return Outcome(
            f"asked for {wanted} again, of which there is no record; ignored",
            silence=Silence.NO_RECORD,
        )
    choice = choose_address(message.chaddr, wanted, context, leases)
    if choice.address != wanted:
        refusal = _refuse(message, f"{wanted} is not yours", context)
        return replace(refusal, problem=choice.problem)
    reply = _granting(message, MessageType.ACK, boot, context)
    return Outcome(
        f"leased {wanted}",
        replace(_with_address(reply, wanted, context), ciaddr=message.ciaddr),
        put=_lease(message, wanted, "bound", context),
        problem=choice.problem,
    )


def _chose_another(message: DhcpMessage, context: ServerContext, leases: LeaseTable) -> Outcome:
    lease = leases.of_mac(context.network.name, message.chaddr)
    offered = lease is not None and lease.state == "offered"
    return Outcome(
        f"took the offer of DHCP server {message.options.server_id}",
        drop=lease.address if lease is not None and offered else None,
        silence=Silence.OTHER_SERVER,
    )


def _reboots_unknown(message: DhcpMessage, context: ServerContext, leases: LeaseTable) -> bool:
    return (
        message.options.server_id is None
        and message.ciaddr == UNSPECIFIED
        and message.chaddr not in context.reservations
        and leases.of_mac(context.network.name, message.chaddr) is None
    )


def _decline(message: DhcpMessage, context: ServerContext, leases: LeaseTable) -> Outcome:
    address = message.options.requested_address
    lease = leases.of_address(address) if address is not None else None
    if address is None or lease is None or lease.mac != message.chaddr:
        return Outcome(f"declined {address}, which was not offered to it; ignored")
    rest = replace(lease, state="declined", expires=context.now + QUARANTINE)
    return Outcome(
        f"declined {address}",
        put=rest,
        problem=Problem(
            "RW308",
            f"{message.chaddr} found {address} of network {context.network.name} "
            "in use by another device",
            f"The address rests for {QUARANTINE.seconds // 60} minutes; find the device "
            f"(arping {address}) or take the address out of the network's range",
        ),
    )


def _release(message: DhcpMessage, context: ServerContext, leases: LeaseTable) -> Outcome:
    lease = leases.of_address(message.ciaddr)
    if lease is None or lease.mac != message.chaddr or lease.state == "declined":
        return Outcome(f"released {message.ciaddr}, which it did not hold; ignored")
    return Outcome(
        f"released {message.ciaddr}", put=replace(lease, state="released", expires=context.now)
    )


def _refuse(message: DhcpMessage, why: str, context: ServerContext) -> Outcome:
    """Return a NAK; a relay must broadcast it (RFC 2131 section 4.3.2)."""
    reply = reply_to(message, MessageType.NAK, context.server)
    flags = BROADCAST_FLAG if message.giaddr != UNSPECIFIED else reply.flags
    return Outcome(
        f"refused: {why}",
        replace(reply, flags=flags, options=replace(reply.options, message=why)),
    )


def _granting(
    message: DhcpMessage, message_type: MessageType, boot: BootData | None, context: ServerContext
) -> DhcpMessage:
    """Return an OFFER or ACK with the network's options, without an address."""
    network = context.network
    reply = reply_to(message, message_type, context.server, boot)
    options = replace(
        reply.options,
        subnet_mask=network.subnet.netmask,
        routers=() if network.gateway is None else (network.gateway,),
        nameservers=network.nameservers,
        domain=network.domain,
        ipxe_options=_IPXE_NO_PROXY_DHCP if message.options.is_ipxe else b"",
    )
    return replace(reply, options=options)


def _with_address(reply: DhcpMessage, address: IPv4Address, context: ServerContext) -> DhcpMessage:
    """Add the address and its times; T1 and T2 are RFC 2131 section 4.4.5's defaults."""
    seconds = context.network.lease_seconds
    options = replace(
        reply.options,
        lease_seconds=seconds,
        renewal_seconds=seconds // 2,
        rebinding_seconds=seconds * 7 // 8,
    )
    return replace(reply, yiaddr=address, options=options)


def _lease(
    message: DhcpMessage,
    address: IPv4Address,
    state: Literal["offered", "bound"],
    context: ServerContext,
) -> Lease:
    lifetime = timedelta(seconds=context.network.lease_seconds)
    expires = context.now + (OFFER_LIFETIME if state == "offered" else lifetime)
    return Lease(context.network.name, address, message.chaddr, state, expires)
