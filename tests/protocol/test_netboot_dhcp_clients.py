"""DHCP and ProxyDHCP against udhcpc, dhclient and dnsmasq, seen by tshark."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

import pytest
from builders.leases import leases_of

from agent.errors import TerminalError
from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, DhcpOptions, MessageType
from providers.netboot.server import Ports
from tests.protocol.netboot_site import Namespace, Segment, must, run_program, segment, serving
from tests.unit.netboot_world import (
    MAC,
    OVMF_ASKS_4011,
    OVMF_DISCOVER,
    RecordingAuthority,
    network,
)
from tests.unit.netboot_world import grant as old_grant

pytestmark = pytest.mark.needs_root

SERVER = "10.77.0.1"
UEFI = ("-V", "PXEClient:Arch:00007:UNDI:003000", "-x", "0x5d:0007")
BIOS = ("-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "0x5d:0000")
IPXE = (*BIOS, "-x", "0x4d:69505845")


@pytest.fixture
def rack() -> Iterator[Segment]:
    with segment(MAC) as built:
        yield built


@pytest.fixture
def boot_files(tmp_path: Path) -> Path:
    root = tmp_path / "boot"
    root.mkdir()
    for name in ("shimx64.efi", "grubx64.efi", "undionly.kpxe", "snponly.efi", "vmlinuz"):
        (root / name).write_text(name)
    (root / "initrd.img").write_text("initrd")
    return root


class GrantingAuthority(RecordingAuthority):
    """Grants the machine the Deploy-OS for as long as the test runs."""

    def __init__(self) -> None:
        super().__init__([old_grant()])


@contextmanager
def site_on(rack: Segment, boot_files: Path, authority: RecordingAuthority, *networks):
    with serving(
        boot_files,
        list(networks),
        authority,
        namespace=rack.server,
        interface="rack0",
        address=SERVER,
    ) as site:
        yield site


@contextmanager
def tshark(rack: Segment, target: Path) -> Iterator[None]:
    """Capture what passes on the server's bridge."""
    process = subprocess.Popen(
        rack.server.command("tshark", "-i", "rack0", "-w", str(target), "-f", "udp"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Capturing on" in line:
            break
    # dumpcap tells when it has opened the device, and is deaf for some milliseconds more.
    time.sleep(0.5)
    try:
        yield
    finally:
        time.sleep(0.5)
        process.terminate()
        process.communicate(timeout=10)


def decoded(capture: Path, display_filter: str) -> list[dict]:
    """Return tshark's view of the packets."""
    arguments = ("tshark", "-r", str(capture), "-Y", display_filter, "-T", "json")
    packets = json.loads(must(*arguments))
    return [packet["_source"]["layers"] for packet in packets]


def udhcpc(machine: Namespace, folder: Path, *options: str) -> dict[str, str]:
    """Return what udhcpc told its script when it was bound; empty if it got nothing."""
    result = folder / "bound"
    result.unlink(missing_ok=True)
    script = folder / "script"
    script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && env > {result}\nexit 0\n')
    script.chmod(0o755)
    limits = ("-n", "-q", "-f", "-t", "3", "-T", "1")
    machine.run("udhcpc", "-i", "nic0", *limits, "-s", str(script), *options)
    if not result.exists():
        return {}
    return dict(line.partition("=")[::2] for line in result.read_text().splitlines())


def in_namespace(namespace: Namespace, action: Callable[[], object]) -> object:
    """Return what ``action`` returns in a thread inside the namespace."""
    results: list[object] = []

    def work() -> None:
        namespace.enter()
        results.append(action())

    thread = Thread(target=work)
    thread.start()
    thread.join(20)
    assert results, "the action failed, see its traceback"
    return results[0]


# --- our own DHCP server --------------------------------------------------------------


def test_udhcpc_gets_an_address_with_all_that_the_network_says(rack, boot_files, tmp_path):
    authority = RecordingAuthority()
    with site_on(rack, boot_files, authority, network()) as site:
        bound = udhcpc(rack.machine, tmp_path)
        address = IPv4Address(bound["ip"])
        assert site.leases.of_address(address).mac == MAC
        assert site.leases.of_address(address).state == "bound"
    assert IPv4Address("10.77.0.50") <= address <= IPv4Address("10.77.0.59")
    assert bound["serverid"] == SERVER
    assert bound["subnet"] == "255.255.255.0"
    assert bound["router"] == "10.77.0.254"
    assert bound["dns"] == "192.0.2.53"
    assert bound["domain"] == "rack.example"
    assert bound["lease"] == "3600"
    assert "boot_file" not in bound
    assert authority.decided == []
    assert len(authority.noted) >= 2  # DISCOVER and REQUEST


@pytest.mark.parametrize(
    ("client", "file"),
    [
        (UEFI, "shimx64.efi"),
        (BIOS, "undionly.kpxe"),
        (IPXE, "http://10.77.0.1:8080/boot/ipxe/52-54-00-12-34-56"),
    ],
)
def test_granted_firmware_is_told_its_boot_file(rack, boot_files, tmp_path, client, file):
    with site_on(rack, boot_files, GrantingAuthority(), network()):
        bound = udhcpc(rack.machine, tmp_path, *client)
    assert (bound["boot_file"], bound["siaddr"]) == (file, SERVER)


@pytest.mark.parametrize("client", [UEFI, BIOS, IPXE])
def test_firmware_without_a_grant_gets_an_address_only(rack, boot_files, tmp_path, client):
    authority = RecordingAuthority()
    with site_on(rack, boot_files, authority, network()):
        bound = udhcpc(rack.machine, tmp_path, *client)
    assert bound["ip"]
    assert "boot_file" not in bound
    assert "siaddr" not in bound
    assert not authority.said_deploy


def test_dhclient_gets_renews_and_gives_back_its_address(rack, boot_files, tmp_path):
    files = ("-lf", str(tmp_path / "leases"), "-pf", str(tmp_path / "pid"), "-sf", "/bin/true")
    with site_on(rack, boot_files, RecordingAuthority(), network()) as site:
        first = rack.machine.run("dhclient", "-1", "-v", *files, "nic0")
        assert "DHCPACK of 10.77.0.5" in first.stderr
        (bound,) = leases_of(site.leases, "rack")
        rack.machine.run("dhclient", "-x", *files, "nic0")
        again = rack.machine.run("dhclient", "-1", "-v", *files, "nic0")
        assert f"DHCPREQUEST for {bound.address}" in again.stderr  # INIT-REBOOT
        assert f"DHCPACK of {bound.address}" in again.stderr
        # dhclient releases from its address, which its script would have set.
        rack.machine.ip("address", "add", f"{bound.address}/24", "dev", "nic0")
        released = rack.machine.run("dhclient", "-r", "-v", *files, "nic0")
        assert f"DHCPRELEASE of {bound.address}" in released.stderr
        limit = time.monotonic() + 5
        while site.leases.of_address(bound.address).state != "released":
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_a_real_relay_gets_its_clients_their_own_networks_addresses(rack, boot_files, tmp_path):
    far = Namespace(rack.machine.name + "f")
    must("ip", "netns", "add", far.name)
    try:
        rack.other.ip("link", "add", "far0", "type", "veth", "peer", "nic0", "netns", far.name)
        rack.other.ip("address", "add", "10.88.0.1/24", "dev", "far0")
        rack.other.ip("link", "set", "far0", "up")
        far.ip("link", "set", "nic0", "address", MAC, "up")
        rack.server.ip("route", "add", "10.88.0.0/24", "via", "10.77.0.2")
        remote = network(name="far", subnet="10.88.0.0/24", pool=("10.88.0.50", "10.88.0.59"))
        with (
            site_on(rack, boot_files, GrantingAuthority(), network(), remote),
            dnsmasq(rack.other, tmp_path, f"--dhcp-relay=10.88.0.1,{SERVER}"),
        ):
            bound = udhcpc(far, tmp_path, *UEFI)
    finally:
        run_program("ip", "netns", "delete", far.name)
    assert bound["ip"].startswith("10.88.0.5")
    assert (bound["serverid"], bound["boot_file"]) == (SERVER, "shimx64.efi")


# --- beside the site's own DHCP server ------------------------------------------------


@contextmanager
def dnsmasq(where: Namespace, folder: Path, *options: str) -> Iterator[None]:
    """Run dnsmasq until it is left; its log is shown if it ends early."""
    log = folder / "dnsmasq.log"
    command = where.command(
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--log-dhcp",
        "--no-ping",
    )
    leases = f"--dhcp-leasefile={folder / 'dnsmasq.leases'}"
    with log.open("w") as output:
        process = subprocess.Popen([*command, leases, *options], stdout=output, stderr=output)
    try:
        limit = time.monotonic() + 10
        while "DHCP" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


RANGE = "--dhcp-range=10.77.0.100,10.77.0.150,1h"


def test_installed_systems_get_the_sites_addresses_undisturbed(rack, boot_files, tmp_path):
    authority = GrantingAuthority()
    with (
        site_on(rack, boot_files, authority, network("proxy")) as site,
        dnsmasq(rack.other, tmp_path, RANGE),
    ):
        bound = udhcpc(rack.machine, tmp_path)
        assert leases_of(site.leases, "rack") == []
    assert bound["serverid"] == "10.77.0.2"
    assert "boot_file" not in bound
    assert authority.decided == []


def hear_offers(packet: bytes, count: int) -> list[DhcpMessage]:
    """Broadcast a DISCOVER as firmware does and return the offers that come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"nic0\0")
        sock.bind(("", 68))
        sock.settimeout(10)
        sock.sendto(packet, ("255.255.255.255", 67))
        return [decode(sock.recv(2000)) for _ in range(count)]


def ask_4011(packet: bytes) -> tuple[DhcpMessage, tuple[str, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("10.77.0.111", 68))
        sock.settimeout(10)
        sock.sendto(packet, (SERVER, 4011))
        data, source = sock.recvfrom(2000)
        return decode(data), source


def test_firmware_hears_both_servers_and_finds_its_file_on_4011(rack, boot_files, tmp_path):
    with (
        site_on(rack, boot_files, GrantingAuthority(), network("proxy")),
        dnsmasq(rack.other, tmp_path, RANGE),
    ):
        # Without any address the kernel sends no broadcast through the interface.
        rack.machine.ip("address", "add", "10.77.0.111/24", "dev", "nic0")
        offers = in_namespace(rack.machine, lambda: hear_offers(OVMF_DISCOVER, 2))
        answer, source = in_namespace(rack.machine, lambda: ask_4011(OVMF_ASKS_4011))
    by_server = {str(offer.options.server_id): offer for offer in offers}
    assert by_server["10.77.0.2"].yiaddr in network().subnet
    ours = by_server[SERVER]
    assert (str(ours.yiaddr), str(ours.siaddr), ours.file) == (str(UNSPECIFIED), SERVER, "")
    assert ours.options.vendor_class == "PXEClient"
    assert answer.message_type is MessageType.ACK
    assert answer.file == "snponly.efi"
    assert source == (SERVER, 4011)


def test_answers_come_from_our_address_on_an_interface_with_several(rack, boot_files):
    rack.server.ip("address", "flush", "dev", "rack0")
    rack.server.ip("address", "add", "10.77.0.9/24", "dev", "rack0")
    rack.server.ip("address", "add", f"{SERVER}/24", "dev", "rack0")
    rack.machine.ip("address", "add", "10.77.0.111/24", "dev", "nic0")
    with site_on(rack, boot_files, GrantingAuthority(), network("proxy")):
        _, source = in_namespace(rack.machine, lambda: ask_4011(OVMF_ASKS_4011))
    assert source == (SERVER, 4011)


# --- on the wire ----------------------------------------------------------------------


def test_tshark_finds_nothing_wrong_with_what_we_send(rack, boot_files, tmp_path):
    capture = tmp_path / "capture.pcapng"
    granting = GrantingAuthority()
    with tshark(rack, capture):
        with site_on(rack, boot_files, granting, network()):
            for client in ((), UEFI, BIOS, IPXE):
                udhcpc(rack.machine, tmp_path, *client)
            granting.grants.clear()
            for client in (UEFI, BIOS, IPXE):
                udhcpc(rack.machine, tmp_path, *client)
            stranger = replace(
                decode(OVMF_DISCOVER),
                message_type=MessageType.REQUEST,
                options=DhcpOptions(requested_address=IPv4Address("192.168.9.9")),
            )
            rack.machine.ip("address", "add", "10.77.0.111/24", "dev", "nic0")
            (refusal,) = in_namespace(rack.machine, lambda: hear_offers(encode(stranger), 1))
            assert refusal.message_type is MessageType.NAK
        granting.grants.append(old_grant())
        with site_on(rack, boot_files, granting, network("proxy")):
            in_namespace(rack.machine, lambda: hear_offers(OVMF_DISCOVER, 1))
            in_namespace(rack.machine, lambda: ask_4011(OVMF_ASKS_4011))
            granting.grants.clear()
            in_namespace(rack.machine, lambda: hear_offers(OVMF_DISCOVER, 1))
    ours = f"ip.src == {SERVER} && dhcp"
    sent = decoded(capture, ours)
    assert len(sent) == 18
    wrong = decoded(capture, f"{ours} && (_ws.malformed || _ws.expert.severity >= 0x400000)")
    assert wrong == []
    text = must("tshark", "-r", str(capture), "-Y", ours, "-V")
    for line in (
        "Boot file name: shimx64.efi",
        "Boot file name: undionly.kpxe",
        "Boot file name: http://10.77.0.1:8080/boot/ipxe/52-54-00-12-34-56",
        "Type: Local boot (0)",
        "Vendor class identifier: PXEClient",
        "Message: 192.168.9.9 is not in network rack",
    ):
        assert line in text
    assert "Malformed" not in text


# --- ports ----------------------------------------------------------------------------


def test_a_port_that_dnsmasq_has_is_reported_with_its_process(rack, boot_files, tmp_path):
    with (
        dnsmasq(rack.server, tmp_path, RANGE),
        pytest.raises(TerminalError, match=r"port 67/udp .* is already taken by dnsmasq \(pid "),
        site_on(rack, boot_files, RecordingAuthority(), network()),
    ):
        pass


def test_an_interface_that_does_not_exist_is_reported(rack, boot_files):
    with (
        pytest.raises(TerminalError, match=r"RW302: .* Check that interface rack9 exists"),
        serving(
            boot_files,
            [network()],
            RecordingAuthority(),
            namespace=rack.server,
            interface="rack9",
            address=SERVER,
        ),
    ):
        pass


def test_ports_follow_the_networks_modes_without_a_restart(rack, boot_files, tmp_path):
    networks = [network("off")]
    with serving(
        boot_files,
        networks,
        RecordingAuthority(),
        namespace=rack.server,
        interface="rack0",
        address=SERVER,
    ) as site:
        assert (site.ports.dhcp, site.ports.proxy, site.ports.tftp) == (0, 0, 69)
        assert udhcpc(rack.machine, tmp_path) == {}
        networks[:] = [network("server")]
        site.refresh()
        assert (site.server.ports.dhcp, site.server.ports.proxy) == (67, 0)
        assert udhcpc(rack.machine, tmp_path)["serverid"] == SERVER
        networks[:] = [network("proxy")]
        site.refresh()
        assert (site.server.ports.dhcp, site.server.ports.proxy) == (67, 4011)
        networks[:] = [network("off")]
        site.refresh()
        assert (site.server.ports.dhcp, site.server.ports.proxy) == (0, 0)


def test_an_interface_that_is_made_anew_is_served_again(rack, boot_files, tmp_path):
    with site_on(rack, boot_files, RecordingAuthority(), network()) as site:
        assert udhcpc(rack.machine, tmp_path)["serverid"] == SERVER
        rack.server.ip("link", "delete", "rack0")
        until(lambda: "dhcp" in site.server.defects)
        assert site.server.defects["dhcp"].startswith("RW302: ")
        rack.server.ip("link", "add", "rack0", "type", "bridge")
        rack.server.ip("address", "add", f"{SERVER}/24", "dev", "rack0")
        rack.server.ip("link", "set", "rack0", "up")
        for peer in ("machine", "other"):
            rack.server.ip("link", "set", peer, "master", "rack0", "up")
        until(lambda: not site.server.defects)
        assert udhcpc(rack.machine, tmp_path)["serverid"] == SERVER


def test_a_taken_port_after_a_change_stops_nothing_else_and_is_tried_again(boot_files):
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as owner:
        owner.bind(("127.0.0.1", 0))
        port = owner.getsockname()[1]
        networks = [network("off", subnet="127.0.0.0/8", pool=None)]
        ports = Ports(port, 0, 0)
        with serving(boot_files, networks, RecordingAuthority(), ports=ports) as site:
            networks[:] = [network("server", subnet="127.0.0.0/8", pool=None)]
            site.refresh()
            assert site.server.defects["dhcp"].startswith(f"RW301: port {port}/udp")
            assert site.server.ports.tftp
            owner.close()
            until(lambda: not site.server.defects)
            assert site.server.ports.dhcp == port


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
