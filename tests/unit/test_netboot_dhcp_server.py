"""The DHCP server's policy as transcripts: who says what, and what is recorded."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from builders.leases import InMemoryLeaseStore

from providers.netboot.address_choice import ServerContext
from providers.netboot.boot_policy import BootData
from providers.netboot.dhcp_message import (
    BROADCAST_FLAG,
    UNSPECIFIED,
    DhcpMessage,
    DhcpOptions,
    MessageType,
)
from providers.netboot.dhcp_reply import destination
from providers.netboot.dhcp_server_policy import OFFER_LIFETIME, QUARANTINE, Outcome, answer
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import Reservations, ServedFleet
from tests.unit.netboot_world import (
    IPXE_BIOS_DISCOVER,
    MAC,
    NOW,
    OTHER_MAC,
    OVMF_DISCOVER,
    SERVER,
    captured,
    network,
)

NET = network()
LEASED = IPv4Address("10.77.0.52")
EVERYONE = IPv4Address("255.255.255.255")
SHIM = BootData(SERVER, "shimx64.efi")


class Server:
    """The policy with a store and a clock: applies what the policy says."""

    def __init__(self, reservations=None, net=NET):
        self.leases = LeaseTable(InMemoryLeaseStore())
        self.now = NOW
        self.net = net
        self.reserve(reservations or {})

    def reserve(self, reservations: dict[str, IPv4Address]) -> None:
        self.reservations = Reservations(reservations.items())
        self.leases.serve(ServedFleet([self.net], self.reservations), SERVER)

    def hears(self, message: DhcpMessage, boot: BootData | None = None) -> Outcome:
        context = ServerContext(self.net, SERVER, self.reservations, self.now)
        outcome = answer(message, boot, context, self.leases)
        if outcome.drop is not None:
            self.leases.drop(outcome.drop)
        if outcome.put is not None:
            self.leases.put(outcome.put)
        return outcome


def says(message_type: MessageType, *, mac=MAC, ciaddr=UNSPECIFIED, giaddr=UNSPECIFIED, **options):
    return DhcpMessage(
        op=1,
        message_type=message_type,
        xid=7,
        chaddr=mac,
        ciaddr=ciaddr,
        giaddr=giaddr,
        options=DhcpOptions(**options),
    )


def discover(**more):
    return says(MessageType.DISCOVER, **more)


def request(**more):
    return says(MessageType.REQUEST, **more)


def leased(server: Server, mac=MAC, wish=LEASED) -> IPv4Address:
    """Take the machine through DISCOVER and REQUEST; return its address."""
    offer = server.hears(discover(mac=mac, requested_address=wish)).reply
    ack = server.hears(request(mac=mac, server_id=SERVER, requested_address=offer.yiaddr)).reply
    assert ack.message_type is MessageType.ACK
    return ack.yiaddr


def test_edk2_is_offered_an_address_and_its_boot_file():
    server = Server()
    discovered = captured(OVMF_DISCOVER)
    outcome = server.hears(discovered, SHIM)
    offer = outcome.reply
    assert offer.message_type is MessageType.OFFER
    assert (offer.op, offer.xid, offer.chaddr) == (2, discovered.xid, MAC)
    assert offer.flags == BROADCAST_FLAG
    assert offer.yiaddr in NET.subnet
    assert (offer.siaddr, offer.file) == (SERVER, "shimx64.efi")
    options = offer.options
    assert options.server_id == SERVER
    assert options.subnet_mask == IPv4Address("255.255.255.0")
    assert options.routers == (IPv4Address("10.77.0.254"),)
    assert options.nameservers == (IPv4Address("192.0.2.53"),)
    assert options.domain == "rack.example"
    assert (options.lease_seconds, options.renewal_seconds, options.rebinding_seconds) == (
        3600,
        1800,
        3150,
    )
    assert options.machine_id == discovered.options.machine_id
    # Option 60 without option 43 would send EDK2 to port 4011.
    assert (options.vendor_class, options.vendor_options) == ("", b"")
    assert outcome.put == Lease("rack", offer.yiaddr, MAC, "offered", NOW + OFFER_LIFETIME)


def test_the_whole_conversation_of_a_new_machine():
    server = Server()
    offer = server.hears(captured(OVMF_DISCOVER), SHIM).reply
    chosen = request(server_id=SERVER, requested_address=offer.yiaddr)
    outcome = server.hears(chosen, SHIM)
    assert outcome.detail == f"leased {offer.yiaddr}"
    ack = outcome.reply
    assert (ack.message_type, ack.yiaddr, ack.file) == (
        MessageType.ACK,
        offer.yiaddr,
        "shimx64.efi",
    )
    assert server.leases.of_mac("rack", MAC) == Lease(
        "rack", offer.yiaddr, MAC, "bound", NOW + timedelta(hours=1)
    )


def test_ipxe_is_told_not_to_wait_for_proxydhcp():
    offer = Server().hears(captured(IPXE_BIOS_DISCOVER)).reply
    assert offer.options.ipxe_options == b"\xb0\x01\x01"
    assert (offer.file, offer.siaddr) == ("", UNSPECIFIED)
    assert Server().hears(captured(OVMF_DISCOVER)).reply.options.ipxe_options == b""


def test_a_reserved_machine_gets_its_address_and_others_do_not():
    reserved = IPv4Address("10.77.0.55")
    server = Server({MAC: reserved})
    assert leased(server, wish=None) == reserved
    assert leased(server, OTHER_MAC, wish=reserved) != reserved


def test_a_second_discover_does_not_shorten_a_lease():
    server = Server()
    address = leased(server)
    outcome = server.hears(discover())
    assert outcome.reply.yiaddr == address
    assert outcome.put is None
    assert server.leases.of_mac("rack", MAC).state == "bound"


def test_two_machines_are_never_offered_the_same_address():
    server = Server()
    offered = {
        server.hears(discover(mac=f"52:54:00:00:03:{n:02x}")).reply.yiaddr for n in range(10)
    }
    assert len(offered) == 10
    exhausted = server.hears(discover())
    assert exhausted.reply is None
    assert exhausted.problem.code == "RW306"


def test_an_offer_that_nobody_takes_is_free_again_after_a_minute():
    server = Server(net=network(pool=("10.77.0.50", "10.77.0.50")))
    server.hears(discover())
    assert server.hears(discover(mac=OTHER_MAC)).reply is None
    server.now += OFFER_LIFETIME
    assert server.hears(discover(mac=OTHER_MAC)).reply is not None


def test_a_client_that_takes_another_servers_offer_frees_ours():
    server = Server()
    offered = server.hears(discover()).reply.yiaddr
    outcome = server.hears(
        request(server_id=IPv4Address("10.77.0.2"), requested_address=IPv4Address("10.77.0.99"))
    )
    assert outcome.reply is None
    assert outcome.detail == "took the offer of DHCP server 10.77.0.2"
    assert server.leases.of_address(offered) is None


def test_another_servers_client_keeps_the_lease_that_it_has_here():
    server = Server()
    address = leased(server)
    server.hears(request(server_id=IPv4Address("10.77.0.2"), requested_address=LEASED))
    assert server.leases.of_address(address).state == "bound"


def test_a_rebooting_machine_keeps_its_address():
    server = Server()
    address = leased(server)
    assert server.hears(request(requested_address=address)).reply.message_type is MessageType.ACK


def test_a_rebooting_machine_from_another_network_is_refused():
    server = Server()
    outcome = server.hears(request(requested_address=IPv4Address("192.168.1.5")))
    assert outcome.reply.message_type is MessageType.NAK
    assert outcome.reply.options.message == "192.168.1.5 is not in network rack"
    assert outcome.reply.yiaddr == UNSPECIFIED
    assert outcome.reply.options.lease_seconds is None


def test_about_a_rebooting_machine_without_a_record_the_server_is_silent():
    outcome = Server().hears(request(requested_address=LEASED))
    assert outcome.reply is None
    assert outcome.put is None


def test_a_rebooting_machine_that_wants_anothers_address_is_refused():
    server = Server()
    address = leased(server)
    leased(server, OTHER_MAC, wish=None)
    outcome = server.hears(request(mac=OTHER_MAC, requested_address=address))
    assert outcome.reply.message_type is MessageType.NAK
    assert server.leases.of_address(address).mac == MAC


def test_renewal_lengthens_the_lease_and_answers_to_the_client():
    server = Server()
    address = leased(server)
    server.now += timedelta(minutes=30)
    outcome = server.hears(request(ciaddr=address))
    assert outcome.put.expires == NOW + timedelta(minutes=90)
    assert outcome.reply.ciaddr == address
    assert destination(outcome.reply) == (address, 68)


def test_a_renewal_after_the_records_were_lost_is_granted_if_nobody_has_the_address():
    server = Server()
    assert server.hears(request(ciaddr=LEASED)).reply.message_type is MessageType.ACK
    outcome = server.hears(request(mac=OTHER_MAC, ciaddr=LEASED))
    assert outcome.reply.message_type is MessageType.NAK
    assert destination(outcome.reply) == (EVERYONE, 68)


def test_renewal_follows_a_new_reservation():
    server = Server()
    address = leased(server)
    server.reserve({MAC: IPv4Address("10.77.0.7")})
    assert server.hears(request(ciaddr=address)).reply.message_type is MessageType.NAK
    assert leased(server, wish=None) == IPv4Address("10.77.0.7")


def test_a_declined_address_rests_and_the_machine_gets_another():
    server = Server()
    address = leased(server)
    outcome = server.hears(says(MessageType.DECLINE, requested_address=address, server_id=SERVER))
    assert outcome.reply is None
    assert str(outcome.problem) == (
        f"RW308: {MAC} found {address} of network rack in use by another device. The address "
        f"rests for 60 minutes; find the device (arping {address}) or take the address out of "
        "the network's range."
    )
    assert server.hears(discover(requested_address=address)).reply.yiaddr != address
    server.now += QUARANTINE
    other = server.hears(discover(mac=OTHER_MAC, requested_address=address))
    assert other.reply.yiaddr == address


@pytest.mark.parametrize("address", [LEASED, None])
def test_nobody_can_decline_what_another_machine_has(address):
    server = Server()
    leased(server)
    outcome = server.hears(says(MessageType.DECLINE, mac=OTHER_MAC, requested_address=address))
    assert (outcome.put, outcome.problem) == (None, None)


def test_a_released_address_is_free_but_comes_back_to_its_machine():
    server = Server()
    address = leased(server)
    outcome = server.hears(says(MessageType.RELEASE, ciaddr=address, server_id=SERVER))
    assert outcome.reply is None
    assert not server.leases.of_address(address).is_held(NOW)
    assert server.hears(discover()).reply.yiaddr == address


def test_nobody_can_release_what_another_machine_has():
    server = Server()
    address = leased(server)
    server.hears(says(MessageType.RELEASE, mac=OTHER_MAC, ciaddr=address))
    assert server.leases.of_address(address).is_held(NOW)


def test_inform_gets_the_options_without_an_address_or_times():
    address = IPv4Address("10.77.0.200")
    outcome = Server().hears(says(MessageType.INFORM, ciaddr=address), SHIM)
    reply = outcome.reply
    assert (reply.message_type, reply.yiaddr) == (MessageType.ACK, UNSPECIFIED)
    assert reply.options.lease_seconds is None
    assert reply.options.domain == "rack.example"
    assert reply.file == "shimx64.efi"
    assert destination(reply) == (address, 68)
    assert outcome.put is None


def test_a_relayed_machine_is_answered_through_its_relay_with_the_relays_option():
    relay = IPv4Address("10.77.0.253")
    asked = discover(giaddr=relay, relay_agent=b"\x01\x04port", client_id=b"\x01abc")
    reply = Server().hears(asked).reply
    assert reply.giaddr == relay
    assert reply.options.relay_agent == b"\x01\x04port"
    assert reply.options.client_id == b"\x01abc"
    assert destination(reply) == (relay, 67)


def test_a_refusal_through_a_relay_is_to_be_broadcast():
    relay = IPv4Address("10.77.0.253")
    outcome = Server().hears(request(giaddr=relay, requested_address=IPv4Address("192.168.1.5")))
    assert outcome.reply.flags == BROADCAST_FLAG
    assert destination(outcome.reply) == (relay, 67)


def test_a_machine_without_an_address_is_answered_by_broadcast():
    assert destination(Server().hears(discover()).reply) == (EVERYONE, 68)


@pytest.mark.parametrize("kind", [MessageType.OFFER, MessageType.ACK, MessageType.NAK])
def test_other_servers_messages_are_ignored(kind):
    outcome = Server().hears(replace(discover(), message_type=kind))
    assert (outcome.reply, outcome.put) == (None, None)
