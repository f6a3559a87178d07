"""What every DHCP reply has in common, and where it goes. Pure."""

from dataclasses import replace
from ipaddress import IPv4Address

from providers.netboot.boot_policy import BootData
from providers.netboot.dhcp_message import (
    BROADCAST_FLAG,
    UNSPECIFIED,
    DhcpMessage,
    DhcpOptions,
    MessageType,
)

SERVER_PORT = 67
CLIENT_PORT = 68
_EVERYONE = IPv4Address("255.255.255.255")


def reply_to(
    request: DhcpMessage,
    message_type: MessageType,
    server: IPv4Address,
    boot: BootData | None = None,
) -> DhcpMessage:
    """Return a reply with the fields that RFC 2131 table 3 takes from the request.

    Options 61, 82, 97 and 118 are echoed (RFC 6842, RFC 3046 section 2.2, RFC 4578
    section 2.3, RFC 3011). ``boot`` fills siaddr and file rather than options 66 and 67,
    which old ROMs overlook and some take to end with a NUL.
    """
    asked = request.options
    reply = DhcpMessage(
        op=2,
        message_type=message_type,
        xid=request.xid,
        chaddr=request.chaddr,
        flags=request.flags & BROADCAST_FLAG,
        giaddr=request.giaddr,
        options=DhcpOptions(
            server_id=server,
            client_id=asked.client_id,
            relay_agent=asked.relay_agent,
            machine_id=asked.machine_id,
            subnet_selection=asked.subnet_selection,
        ),
    )
    if boot is None:
        return reply
    options = replace(
        reply.options, vendor_class=boot.vendor_class, vendor_options=boot.pxe_options
    )
    return replace(reply, siaddr=boot.server, file=boot.file, options=options)


def destination(reply: DhcpMessage) -> tuple[IPv4Address, int]:
    """Return address and port for a reply on port 67 (RFC 2131 section 4.1).

    A relay gets it on port 67. A client that has an address gets it there. All
    others get it by broadcast, also those that would take unicast to an address
    they do not have yet: that needs a raw socket and gains nothing.
    """
    if reply.giaddr != UNSPECIFIED:
        return reply.giaddr, SERVER_PORT
    if reply.message_type is not MessageType.NAK and reply.ciaddr != UNSPECIFIED:
        return reply.ciaddr, CLIENT_PORT
    return _EVERYONE, CLIENT_PORT
