"""ProxyDHCP: boot data beside the site's own DHCP server (PXE specification 2.1). Pure."""

from dataclasses import replace
from ipaddress import IPv4Address

from providers.netboot.boot_policy import BootData
from providers.netboot.dhcp_message import DhcpMessage, MessageType
from providers.netboot.dhcp_reply import reply_to
from providers.netboot.firmware import PXE_CLASS, Firmware, ProxyWay

_BYPASS_DISCOVERY = b"\x06\x01\x08\xff"
"""PXE_DISCOVERY_CONTROL (sub-option 6) with bit 3 only: start the file of this offer."""


def offer(
    message: DhcpMessage, boot: BootData | None, firmware: Firmware | None, server: IPv4Address
) -> DhcpMessage | None:
    """Return the offer on port 67 for a DISCOVER, or None.

    It carries no address. The local disk is said here as in a server's offer.
    """
    if message.message_type is not MessageType.DISCOVER or boot is None or firmware is None:
        return None
    if boot.vendor_class:
        return reply_to(message, MessageType.OFFER, server, boot)
    pxe = replace(boot, vendor_class=PXE_CLASS)
    match firmware.proxy:
        case ProxyWay.ASK_4011:
            pxe = replace(pxe, file="")
        case ProxyWay.BYPASS:
            pxe = replace(pxe, pxe_options=_BYPASS_DISCOVERY)
        case ProxyWay.IN_OFFER:
            pass
    return reply_to(message, MessageType.OFFER, server, pxe)


def acknowledge(
    message: DhcpMessage, boot: BootData | None, server: IPv4Address
) -> DhcpMessage | None:
    """Return the answer on port 4011 for a REQUEST or INFORM, or None.

    Whatever the offer said: firmware that was told everything asks here too.
    """
    asks = message.message_type in (MessageType.REQUEST, MessageType.INFORM)
    if not asks or boot is None:
        return None
    pxe = replace(boot, vendor_class=boot.vendor_class or PXE_CLASS)
    return replace(reply_to(message, MessageType.ACK, server, pxe), ciaddr=message.ciaddr)
