"""Every route to the Deploy-OS goes through the authority; every doubt is the local disk."""

import inspect
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from builders.leases import InMemoryLeaseStore, leases_of
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

import providers.netboot
from providers.netboot.address_pool import AddressPool
from providers.netboot.boot_files import BootFiles
from providers.netboot.boot_policy import LOCAL_BOOT_MENU, BootSite
from providers.netboot.boot_script import GRUB_LOCAL_DISK, GRUB_START_OVER, IPXE_LOCAL_DISK
from providers.netboot.boot_service import BootService
from providers.netboot.decision import (
    BootAuthority,
    DeployOS,
    EnrollmentCredentials,
    Grant,
    LocalDisk,
)
from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, DhcpOptions, MessageType
from providers.netboot.dhcp_service import DhcpService
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import ServedFleet
from providers.netboot.unanswered import Silence, Unanswered
from tests.unit.netboot_world import (
    CREDENTIALS,
    IPXE_BIOS_DISCOVER,
    MAC,
    NOW,
    OTHER_MAC,
    OVMF_ASKS_4011,
    OVMF_DISCOVER,
    SERVER,
    UDHCPC_DISCOVER,
    UUID,
    RecordingAuthority,
    captured,
    grant,
    network,
)

ADDRESS = "10.77.0.52"
HTTP = "http://10.77.0.1:8080"
BOOT_FILES = (
    "shimx64.efi",
    "grubx64.efi",
    "undionly.kpxe",
    "snponly.efi",
    "vmlinuz",
    "initrd.img",
)


class Site:
    """Network boot without sockets, on a recording authority."""

    def __init__(self, root: Path, *, mode="server", grants=(), net=None, files=BOOT_FILES):
        self.authority = RecordingAuthority(list(grants))
        self.leases = LeaseTable(InMemoryLeaseStore())
        self.net = net or network(mode)
        self.fleet = ServedFleet([self.net])
        self.leases.serve(self.fleet, SERVER)
        self.now = NOW
        metadata = {"deploy-os.json": '{"version": "1", "kernel_arguments": ["quiet"]}'}
        for name, text in (dict.fromkeys(files, "") | metadata).items():
            if not (root / name).exists():
                (root / name).write_text(text)
        self.boots = BootService(
            self.authority,
            self.leases,
            BootFiles(root),
            BootSite(SERVER, HTTP),
            lambda: self.fleet,
            lambda: self.now,
        )
        self.unanswered = Unanswered()
        self.dhcp = DhcpService(self.boots, self.unanswered)

    def lease(self, mac=MAC, address=ADDRESS, state="bound") -> None:
        expires = NOW + timedelta(hours=1)
        self.leases.put(Lease("rack", IPv4Address(address), mac, state, expires))

    def hears(self, packet: bytes) -> DhcpMessage | None:
        datagram = self.dhcp.receive(packet, "0.0.0.0")  # noqa: S104 (a DHCP client's source)
        return None if datagram is None else decode(datagram.payload)


@pytest.fixture
def site(tmp_path):
    return lambda **more: Site(tmp_path, **more)


def noted(site: Site) -> list[str]:
    return [request.detail for request in site.authority.noted]


# --- the property ---------------------------------------------------------------------


def test_only_the_desk_calls_the_authority():
    folder = Path(inspect.getfile(providers.netboot)).parent
    callers = {
        path.name
        for path in folder.glob("*.py")
        if "authority." in path.read_text(encoding="utf-8")
    }
    assert callers == {"boot_service.py"}
    assert {name for name in vars(BootAuthority) if not name.startswith("_")} == {
        "decide",
        "note",
        "credentials",
    }


def _says_deploy(text: str) -> bool:
    return "rackwright.token=" in text or "vmlinuz" in text


_GRANTS = st.builds(
    lambda mac, uuid, minutes: grant(mac, uuid=uuid, minutes=minutes),
    st.sampled_from([MAC, OTHER_MAC]),
    st.sampled_from(["", UUID, "00000000-1111-2222-3333-444444444444"]),
    st.sampled_from([-1, 5]),
)


@dataclass(frozen=True)
class Circumstances:
    mode: str
    grants: list[Grant]
    fails: bool
    leased: str | None
    source: str
    credentials: EnrollmentCredentials | None


@given(
    st.builds(
        Circumstances,
        mode=st.sampled_from(["server", "proxy", "off"]),
        grants=st.lists(_GRANTS, max_size=2),
        fails=st.booleans(),
        leased=st.sampled_from([None, ADDRESS, "10.77.0.53"]),
        source=st.sampled_from([ADDRESS, "10.77.0.53", "192.0.2.1"]),
        credentials=st.sampled_from([CREDENTIALS, None, replace(CREDENTIALS, pin="damaged")]),
    )
)
def test_no_route_says_deploy_os_unless_the_authority_did(tmp_path_factory, given_these):
    site = Site(tmp_path_factory.getbasetemp(), mode=given_these.mode, grants=given_these.grants)
    site.authority.fails = given_these.fails
    site.authority.credentials_answer = given_these.credentials
    source = given_these.source
    if given_these.leased:
        site.lease(address=given_these.leased)
    routes = {
        "dhcp": lambda: _boots(site.hears(OVMF_DISCOVER)),
        "dhcp, iPXE": lambda: _boots(site.hears(IPXE_BIOS_DISCOVER)),
        "dhcp, installed system": lambda: _boots(site.hears(UDHCPC_DISCOVER)),
        "4011": lambda: _boots(_answer(site.dhcp.receive_proxy(OVMF_ASKS_4011, source, 4011))),
        "tftp": lambda: _says_deploy(site.boots.script("grub", MAC, source)),
        "http": lambda: _says_deploy(site.boots.script("ipxe", MAC, source)),
    }
    for name, route in routes.items():
        site.authority.answers.clear()
        with capture_logs():  # each failure would be logged with its traceback
            booted = route()
        assert site.authority.said_deploy or not booted, name


def _answer(datagram) -> DhcpMessage | None:
    return None if datagram is None else decode(datagram.payload)


def _boots(reply: DhcpMessage | None) -> bool:
    """Return whether the reply lets firmware start anything, or ask for it on port 4011."""
    if reply is None:
        return False
    asks_4011 = reply.options.vendor_class == "PXEClient" and not reply.options.vendor_options
    return bool(reply.file) or asks_4011


# --- DHCP -----------------------------------------------------------------------------


def test_a_granted_machine_is_sent_to_its_boot_loader(site):
    world = site(grants=[grant(uuid=UUID)])
    assert world.hears(OVMF_DISCOVER).file == "shimx64.efi"
    assert world.hears(IPXE_BIOS_DISCOVER).file == HTTP + "/boot/ipxe/52-54-00-12-34-56"
    first = world.authority.decided[0]
    assert (first.route, first.mac, first.uuid, first.arch) == ("dhcp", MAC, UUID, 7)
    assert first.detail == "DISCOVER, xid dcae32b3, x64 UEFI"


def test_a_machine_without_grant_gets_an_address_and_no_file(site):
    world = site()
    told = world.hears(OVMF_DISCOVER)
    assert told.yiaddr in world.net.subnet
    assert (told.file, told.options.vendor_options) == ("", LOCAL_BOOT_MENU)
    silent = world.hears(IPXE_BIOS_DISCOVER)
    assert (silent.file, silent.options.vendor_class) == ("", "")
    assert world.authority.answers == [LocalDisk("no grant")] * 2


def test_an_installed_system_is_noted_but_asks_for_no_decision(site):
    world = site(grants=[grant("de:a4:2b:ab:bf:38")])
    assert world.hears(UDHCPC_DISCOVER).file == ""
    assert world.authority.decided == []
    assert noted(world) == ["DISCOVER, xid a600f943, no network boot (udhcp 1.35.0)"]


def test_what_a_stranger_writes_cannot_forge_log_lines(site):
    world = site()
    options = replace(captured(UDHCPC_DISCOVER).options, vendor_class="x\n\x1b[2J" + "y" * 200)
    world.hears(encode(replace(captured(UDHCPC_DISCOVER), options=options)))
    (detail,) = noted(world)
    assert detail.isprintable()
    assert len(detail) < 160


def test_silence_about_a_foreign_relay_has_a_reason_once_in_the_timeline(site):
    world = site()
    far = encode(replace(captured(OVMF_DISCOVER), giaddr=IPv4Address("10.88.0.1")))
    with capture_logs() as logs:
        for _ in range(5):
            assert world.dhcp.receive(far, "10.88.0.1") is None
    assert world.unanswered.counts == {Silence.NO_NETWORK: 5}
    assert noted(world) == [
        (
            "DISCOVER, xid dcae32b3, x64 UEFI, through relay 10.88.0.1: not answered, "
            "its network is none of the fleet's"
        )
    ]
    (line,) = [entry for entry in logs if entry["event"] == "packet not answered"]
    assert (line["mac"], line["relay"], line["reason"]) == (
        MAC,
        "10.88.0.1",
        "its network is none of the fleet's",
    )


@pytest.mark.parametrize(
    ("mode", "packet", "silence"),
    [
        ("server", b"garbage", Silence.MALFORMED),
        ("server", replace(captured(OVMF_DISCOVER), op=2), Silence.NO_REQUEST),
        ("off", captured(OVMF_DISCOVER), Silence.DHCP_OFF),
        ("proxy", captured(UDHCPC_DISCOVER), Silence.SITE_SERVER),
        ("proxy", captured(IPXE_BIOS_DISCOVER), Silence.LOCAL_DISK),
        (
            "proxy",
            replace(captured(OVMF_DISCOVER), message_type=MessageType.REQUEST),
            Silence.SITE_SERVER,
        ),
        (
            "server",
            replace(captured(OVMF_DISCOVER), message_type=MessageType.REQUEST),
            Silence.NAMES_NO_ADDRESS,
        ),
        (
            "server",
            replace(captured(OVMF_DISCOVER), message_type=MessageType.OFFER),
            Silence.NO_REQUEST,
        ),
    ],
)
def test_each_packet_that_is_not_answered_is_counted_with_its_reason(site, mode, packet, silence):
    world = site(mode=mode)
    assert world.hears(packet if isinstance(packet, bytes) else encode(packet)) is None
    assert world.unanswered.counts == {silence: 1}


def test_on_4011_silence_has_a_reason_too(site):
    world = site()
    assert world.dhcp.receive_proxy(OVMF_ASKS_4011, ADDRESS, 68) is None
    assert world.unanswered.counts == {Silence.NO_PROXY: 1}


def test_a_packet_whose_answer_fails_ends_by_itself_and_the_next_is_served(site, monkeypatch):
    world = site()
    find = AddressPool.find
    monkeypatch.setattr(AddressPool, "find", lambda *_: 1 / 0)
    with capture_logs() as logs:
        for _ in range(3):
            assert world.hears(UDHCPC_DISCOVER) is None
    assert world.unanswered.counts == {Silence.FAILED: 3}
    lines = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [(line["event"], line["detail"]) for line in lines] == [
        ("packet not answered", "ZeroDivisionError: division by zero")
    ]
    monkeypatch.setattr(AddressPool, "find", find)
    assert world.hears(UDHCPC_DISCOVER).yiaddr in world.net.subnet


def test_a_control_plane_that_fails_is_one_line_per_interval_without_a_traceback(site):
    world = site()
    world.authority.fails = True
    with capture_logs() as logs:
        for _ in range(5):
            assert world.hears(OVMF_DISCOVER).file == ""
    lines = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("boot decision failed", "RuntimeError: database is locked")
    ]
    assert not any("exc_info" in line for line in lines)


def test_a_relayed_machine_is_served_from_its_own_network(site):
    far = network(name="far", subnet="10.88.0.0/24", pool=("10.88.0.50", "10.88.0.59"))
    world = site(net=far)
    assert world.hears(OVMF_DISCOVER) is None  # our own network is unknown
    relayed = replace(captured(OVMF_DISCOVER), giaddr=IPv4Address("10.88.0.1"))
    datagram = world.dhcp.receive(encode(relayed), "10.88.0.1")
    assert (datagram.address, datagram.port) == ("10.88.0.1", 67)
    assert decode(datagram.payload).yiaddr in far.subnet
    (asked,) = world.authority.decided
    assert "through relay 10.88.0.1" in asked.detail
    assert asked.relay == "10.88.0.1"


@pytest.mark.parametrize(("giaddr", "relay"), [("0.0.0.0", None), ("10.77.0.9", "10.77.0.9")])  # noqa: S104
def test_a_question_on_port_4011_says_nothing_of_a_relay_unless_one_forwards_it(
    site, giaddr, relay
):
    world = site(net=network(mode="proxy"))
    world.hears(OVMF_DISCOVER)
    asked = replace(
        captured(OVMF_DISCOVER), message_type=MessageType.REQUEST, giaddr=IPv4Address(giaddr)
    )
    world.dhcp.receive_proxy(encode(asked), "10.77.0.50", 4011)
    assert [each.relay for each in world.authority.decided] == ["", relay]


# --- clients of routed networks ----------------------------------------------------------

FAR = network(name="far", subnet="10.88.0.0/24", pool=("10.88.0.50", "10.88.0.59"))
FAR_ADDRESS = IPv4Address("10.88.0.50")


@pytest.fixture
def routed(site):
    """Return a site with the network of our interface and one behind a router."""

    def build(far=FAR, **more):
        world = site(**more)
        world.fleet = ServedFleet([world.net, far])
        world.leases.serve(world.fleet, SERVER)
        return world

    return build


def asks(kind, *, mac=MAC, ciaddr=UNSPECIFIED, giaddr=UNSPECIFIED, **options):
    """Return a packet of a system that runs."""
    known = DhcpOptions(**options)
    return encode(
        DhcpMessage(
            op=1, message_type=kind, xid=7, chaddr=mac, ciaddr=ciaddr, giaddr=giaddr, options=known
        )
    )


def test_a_renewal_from_a_routed_network_is_granted_there(routed):
    world = routed()
    datagram = world.dhcp.receive(asks(MessageType.REQUEST, ciaddr=FAR_ADDRESS), "10.88.0.50")
    reply = decode(datagram.payload)
    assert (datagram.address, datagram.port) == ("10.88.0.50", 68)
    assert (reply.message_type, reply.yiaddr) == (MessageType.ACK, FAR_ADDRESS)
    assert reply.options.routers == (FAR.gateway,)


def test_a_routed_client_is_refused_where_it_is(routed):
    world = routed()
    world.leases.put(
        Lease("far", FAR_ADDRESS, OTHER_MAC, "bound", NOW + timedelta(hours=1)),
    )
    datagram = world.dhcp.receive(asks(MessageType.REQUEST, ciaddr=FAR_ADDRESS), "10.88.0.50")
    assert decode(datagram.payload).message_type is MessageType.NAK
    assert (datagram.address, datagram.port) == ("10.88.0.50", 68)


def test_a_routed_client_that_informs_gets_its_own_networks_options(routed):
    world = routed()
    datagram = world.dhcp.receive(asks(MessageType.INFORM, ciaddr=FAR_ADDRESS), "10.88.0.50")
    reply = decode(datagram.payload)
    assert (datagram.address, reply.message_type) == ("10.88.0.50", MessageType.ACK)
    assert reply.options.routers == (FAR.gateway,)


def test_firmware_of_a_routed_proxy_network_is_answered_on_4011(routed):
    far = network("proxy", name="far", subnet="10.88.0.0/24", pool=None)
    world = routed(far, grants=[grant()])
    asked = encode(replace(captured(OVMF_ASKS_4011), ciaddr=FAR_ADDRESS))
    datagram = world.dhcp.receive_proxy(asked, "10.88.0.50", 4011)
    assert (datagram.address, datagram.port) == ("10.88.0.50", 4011)
    assert decode(datagram.payload).file == "snponly.efi"


@pytest.mark.parametrize(
    "options",
    [
        {"relay_agent": b"\x01\x02ab\x05\x04" + IPv4Address("10.88.0.0").packed},
        {"subnet_selection": IPv4Address("10.88.0.0")},
    ],
    ids=["RFC 3527", "RFC 3011"],
)
def test_what_names_the_clients_network_goes_before_the_relays_address(routed, options):
    world = routed()
    packet = asks(MessageType.DISCOVER, giaddr=IPv4Address("10.77.0.9"), **options)
    reply = decode(world.dhcp.receive(packet, "10.77.0.9").payload)
    assert reply.yiaddr in FAR.subnet
    assert reply.options.relay_agent == options.get("relay_agent", b"")
    assert reply.options.subnet_selection == options.get("subnet_selection")


@pytest.mark.parametrize("raw", [b"\5", b"\5\4\x0a", b"\5\3\x0a\x58\0", b"\1\xff\5\4\x0a\x58\0\0"])
def test_a_damaged_relay_option_names_no_network(routed, raw):
    packet = asks(MessageType.DISCOVER, giaddr=IPv4Address("10.88.0.1"), relay_agent=raw)
    assert decode(routed().dhcp.receive(packet, "10.88.0.1").payload).yiaddr in FAR.subnet


def test_a_client_of_an_unknown_routed_network_is_not_refused_on_our_wire(routed):
    world = routed()
    packet = asks(MessageType.REQUEST, ciaddr=IPv4Address("10.99.0.7"))
    assert world.dhcp.receive(packet, "10.99.0.7") is None
    assert world.unanswered.counts[Silence.NO_NETWORK] == 1


def test_missing_boot_files_are_reported_and_the_machine_boots_its_disk(site):
    world = site(grants=[grant()], files=("shimx64.efi",))
    assert world.hears(OVMF_DISCOVER).file == ""
    assert noted(world)[0].startswith("RW303: the boot files directory ")
    assert "lacks grubx64.efi, vmlinuz, initrd.img" in noted(world)[0]


def test_firmware_without_a_way_to_the_deploy_os_is_reported(site):
    world = site(grants=[grant()])
    http = replace(
        captured(OVMF_DISCOVER).options, vendor_class="HTTPClient:Arch:00016", architectures=(16,)
    )
    reply = world.hears(encode(replace(captured(OVMF_DISCOVER), options=http)))
    assert reply.file == HTTP + "/boot/nothing"
    assert noted(world) == [
        (
            "RW310: there is no way to the Deploy-OS for firmware 'x64 UEFI HTTP boot': Debian's "
            "signed GRUB cannot fetch over HTTP, so it boots the local disk for now. Let the "
            "machine boot by PXE, x64 UEFI or BIOS, or from boot media."
        )
    ]


def test_an_exhausted_pool_is_in_the_timeline(site):
    world = site(net=network(pool=None))
    assert world.hears(OVMF_DISCOVER) is None
    assert noted(world)[0].startswith("RW306: network rack has no dhcp range")


def test_a_network_that_is_off_hears_nothing(site):
    world = site(mode="off", grants=[grant()])
    assert world.hears(OVMF_DISCOVER) is None
    assert world.dhcp.receive_proxy(OVMF_ASKS_4011, ADDRESS, 4011) is None
    assert world.authority.decided == []


@pytest.mark.parametrize("packet", [b"", b"garbage", bytes(400)])
def test_garbage_is_answered_by_nothing(site, packet):
    world = site()
    assert world.dhcp.receive(packet, ADDRESS) is None
    assert world.dhcp.receive_proxy(packet, ADDRESS, 68) is None


def test_a_servers_reply_is_not_answered(site):
    world = site()
    reply = replace(captured(OVMF_DISCOVER), op=2, message_type=MessageType.OFFER)
    assert world.hears(encode(reply)) is None


# --- ProxyDHCP ------------------------------------------------------------------------


def test_beside_another_dhcp_server_edk2_is_led_over_port_4011(site):
    world = site(mode="proxy", grants=[grant()])
    offered = world.hears(OVMF_DISCOVER)
    assert (offered.file, offered.siaddr, offered.options.vendor_class) == (
        "",
        SERVER,
        "PXEClient",
    )
    datagram = world.dhcp.receive_proxy(OVMF_ASKS_4011, "10.77.0.111", 4011)
    assert (datagram.address, datagram.port) == ("10.77.0.111", 4011)
    assert decode(datagram.payload).file == "snponly.efi"
    assert [request.route for request in world.authority.decided] == ["proxy-dhcp"] * 2
    assert leases_of(world.leases, "rack") == []


def test_on_4011_bios_is_answered_too(site):
    world = site(mode="proxy", grants=[grant()])
    bios = replace(captured(OVMF_ASKS_4011).options, architectures=(0,))
    asked = encode(replace(captured(OVMF_ASKS_4011), options=bios))
    assert decode(world.dhcp.receive_proxy(asked, ADDRESS, 68).payload).file == "undionly.kpxe"


def test_beside_another_dhcp_server_only_firmware_is_answered(site):
    world = site(mode="proxy", grants=[grant("de:a4:2b:ab:bf:38")])
    assert world.hears(UDHCPC_DISCOVER) is None
    request = replace(captured(OVMF_DISCOVER), message_type=MessageType.REQUEST)
    assert world.hears(encode(request)) is None
    assert noted(world)[1] == "REQUEST, xid dcae32b3, x64 UEFI"


# --- boot scripts ---------------------------------------------------------------------


@pytest.mark.parametrize("loader", ["grub", "ipxe"])
def test_the_leaseholder_gets_its_script_and_one_set_of_credentials(site, loader):
    world = site(grants=[grant()])
    world.lease()
    text = world.boots.script(loader, MAC, ADDRESS)
    assert f"rackwright.token={CREDENTIALS.token} BOOTIF=01-52-54-00-12-34-56 " in text
    assert text.count(" quiet") == 1
    assert world.authority.sent_to == [ADDRESS]
    assert world.authority.decided[0].detail == f"asks for its {loader} script (leased)"
    assert isinstance(world.authority.answers[0], DeployOS)


@pytest.mark.parametrize(
    ("lease", "source", "why"),
    [
        (None, ADDRESS, "is not leased to it, nothing is"),
        ((MAC, "10.77.0.53", "bound"), ADDRESS, "is not leased to it, 10.77.0.53 is"),
        ((OTHER_MAC, ADDRESS, "bound"), ADDRESS, "is not leased to it, nothing is"),
        ((MAC, ADDRESS, "released"), ADDRESS, "is not leased to it, nothing is"),
        ((MAC, ADDRESS, "bound"), "192.0.2.1", "is in none of our networks"),
    ],
)
def test_another_client_gets_the_local_disk_and_stands_in_the_timeline(site, lease, source, why):
    world = site(grants=[grant()])
    if lease:
        world.lease(*lease)
    assert world.boots.script("ipxe", MAC, source) == IPXE_LOCAL_DISK
    assert world.authority.decided == []
    assert world.authority.credentials_minted == 0
    (detail,) = noted(world)
    assert f"RW311: {source} asked for the boot script of {MAC}, but the address {why}" in detail


def test_where_another_server_leases_the_client_is_labelled(site):
    world = site(mode="proxy", grants=[grant()])
    assert "rackwright.token" in world.boots.script("ipxe", MAC, "10.77.0.200")
    assert world.authority.decided[0].detail == (
        "asks for its ipxe script (network-trust: the address is another DHCP server's)"
    )


def test_grub_starts_over_where_our_dhcp_decides_and_tries_the_disk_elsewhere(site):
    assert site(mode="proxy").boots.script("grub", MAC, ADDRESS) == GRUB_START_OVER
    assert site(mode="off").boots.script("grub", MAC, ADDRESS) == GRUB_LOCAL_DISK
    assert site().boots.script("grub", MAC, ADDRESS) == GRUB_START_OVER
    assert site().boots.script("grub", MAC, "192.0.2.1") == GRUB_LOCAL_DISK


def test_a_machine_whose_restart_is_in_doubt_comes_as_far_as_its_boot_loader(site):
    world = site(grants=[grant()])
    world.lease()
    world.authority.unproved = "an agent at work was heard"
    assert world.hears(OVMF_DISCOVER).file == "shimx64.efi"
    assert world.boots.script("grub", MAC, ADDRESS) == (
        'echo "Rackwright: another agent of this machine may be at work, asking again"\n'
        "sleep 5\n"
        "configfile /grub/machine/$net_default_mac\n"
    )
    assert world.boots.script("ipxe", MAC, ADDRESS) == (
        "#!ipxe\n"
        "echo Rackwright: another agent of this machine may be at work, asking again\n"
        "sleep 5\n"
        "chain --replace --autofree http://10.77.0.1:8080/boot/ipxe/52-54-00-12-34-56 || exit\n"
    )
    assert world.authority.credentials_minted == 0


def test_a_grant_that_is_gone_before_the_credentials_is_the_local_disk(site):
    world = site(grants=[grant()])
    world.lease()
    world.authority.credentials_answer = None
    assert world.boots.script("ipxe", MAC, ADDRESS) == IPXE_LOCAL_DISK
    assert noted(world) == [
        "asks for its ipxe script (leased): local disk, the grant is gone since the decision"
    ]


def test_a_damaged_build_costs_no_credentials(site):
    world = site(grants=[grant()])
    world.lease()
    (world.boots.files.root / "deploy-os.json").write_text("{}")
    assert world.boots.script("grub", MAC, ADDRESS) == GRUB_START_OVER
    assert world.authority.credentials_minted == 0
    assert "RW304" in noted(world)[0]


def test_a_value_that_cannot_stand_in_a_script_is_the_local_disk(site):
    world = site(grants=[grant()])
    world.lease()
    world.authority.credentials_answer = replace(CREDENTIALS, server="https://x; reboot")
    assert world.boots.script("ipxe", MAC, ADDRESS) == IPXE_LOCAL_DISK
    assert "RW305" in noted(world)[0]


def test_an_authority_that_fails_is_the_local_disk_everywhere(site):
    world = site(grants=[grant()])
    world.lease()
    world.authority.fails = True
    assert world.boots.script("ipxe", MAC, ADDRESS) == IPXE_LOCAL_DISK
    assert world.hears(OVMF_DISCOVER).file == ""


def test_credentials_that_fail_are_the_local_disk(site, monkeypatch):
    world = site(grants=[grant()])
    world.lease()
    monkeypatch.setattr(RecordingAuthority, "credentials", lambda *_: 1 / 0)
    assert world.boots.script("ipxe", MAC, ADDRESS) == IPXE_LOCAL_DISK


def test_a_transfer_is_noted_under_the_leaseholders_mac(site):
    world = site()
    world.lease()
    world.boots.note_transfer("tftp", ADDRESS, "vmlinuz complete")
    world.boots.note_transfer("tftp", "10.77.0.99", "vmlinuz complete")
    assert [(request.mac, request.source) for request in world.authority.noted] == [
        (MAC, ADDRESS),
        ("", "10.77.0.99"),
    ]
