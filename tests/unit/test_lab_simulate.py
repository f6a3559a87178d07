import ipaddress
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.errors import CodedError
from providers.lab.simulate import firmware
from providers.lab.simulate.boot_script import AnotherScript, ScriptError, read_script
from providers.lab.simulate.dhcp_client import DhcpClient, is_answer
from providers.lab.simulate.disk import NotBootableError, make_blank, system_on
from providers.lab.simulate.faults import KINDS, Faults
from providers.lab.simulate.fleet_documents import fleet_documents
from providers.lab.simulate.identity_step import read_identity
from providers.lab.simulate.machine_list import MOST_MACHINES, SERVER, machines_of
from providers.lab.simulate.machine_state import MachineState
from providers.lab.simulate.messages import (
    Request,
    decode_request,
    encode_request,
    states_from_json,
    states_to_json,
)
from providers.lab.simulate.power_state import PowerCutError, PowerState
from providers.netboot.boot_policy import LOCAL_BOOT_MENU, BootData
from providers.netboot.boot_script import (
    ASK_AGAIN_SECONDS,
    IPXE_LOCAL_DISK,
    ipxe_ask_again,
    ipxe_script,
    kernel_command_line,
)
from providers.netboot.decision import EnrollmentCredentials
from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import UNSPECIFIED, MessageType
from providers.netboot.firmware import FIRMWARE, IPXE, classify
from providers.netboot.proxy_policy import acknowledge, offer

MAC, UUID = "52:54:00:77:00:01", "77000000-0000-4000-8000-000000000001"
SITE = IPv4Address("10.77.0.1")
ADDRESS = IPv4Interface("10.77.1.10/16")


def test_every_machine_of_the_largest_rack_has_names_and_addresses_of_its_own():
    machines = machines_of(MOST_MACHINES, 16 << 20)
    assert len(machines) == MOST_MACHINES + 1
    for values in (
        {each.name for each in machines},
        {each.mac for each in machines},
        {each.uuid for each in machines},
        {each.serial for each in machines},
        {each.address for each in machines},
    ):
        assert len(values) == len(machines)
    pool = fleet_documents(machines)["fleet.yaml"].partition("range: ")[2].partition(",")[0]
    first, last = (IPv4Address(end) for end in pool.split("-"))
    for machine in machines[1:]:
        address = ipaddress.ip_interface(machine.address)
        assert address in SERVER.network
        assert address.ip < first < last < SERVER.network.broadcast_address


def test_the_servers_codec_reads_what_a_rom_and_ipxe_ask():
    rom = decode(DhcpClient(MAC, UUID).discover(7, 4))
    assert (rom.op, rom.message_type, rom.xid, rom.secs) == (1, MessageType.DISCOVER, 7, 4)
    assert (rom.chaddr, rom.options.uuid, rom.options.architectures) == (MAC, UUID, (0,))
    assert classify(rom.options) is FIRMWARE[0]
    ipxe = decode(DhcpClient(MAC, UUID, "ipxe").discover(8))
    assert classify(ipxe.options) is IPXE[0]


def test_a_request_takes_the_address_that_was_offered():
    client = DhcpClient(MAC, UUID)
    asked = decode(client.discover(9))
    offered = replace(
        asked,
        op=2,
        message_type=MessageType.OFFER,
        yiaddr=ADDRESS.ip,
        options=replace(asked.options, server_id=SITE),
    )
    assert is_answer(offered, 9, MAC, MessageType.OFFER)
    assert not is_answer(offered, 10, MAC, MessageType.OFFER)
    assert not is_answer(asked, 9, MAC, MessageType.DISCOVER)
    taken = decode(client.request(9, offered))
    assert taken.options.requested_address == ADDRESS.ip
    assert taken.options.server_id == SITE


def site_offer(asked):
    """What a DHCP server that knows nothing of booting offers."""
    return replace(asked, op=2, message_type=MessageType.OFFER, yiaddr=ADDRESS.ip)


def test_beside_another_dhcp_server_the_boot_server_names_the_file():
    client = DhcpClient(MAC, UUID)
    asked = decode(client.discover(9))
    boot = BootData(SITE, "undionly.kpxe")
    proxy = decode(encode(offer(asked, boot, FIRMWARE[0], SITE)))
    assert firmware.complete([site_offer(asked), proxy])
    assert not firmware.complete([proxy])
    found = firmware._network(ADDRESS, [site_offer(asked), proxy], client, Clock())
    assert (found.address, found.server, found.file) == (ADDRESS, SITE, "undionly.kpxe")


def test_a_boot_server_that_names_no_file_is_asked_on_its_own_port(monkeypatch):
    client = DhcpClient(MAC, UUID)
    asked = decode(client.discover(9))
    proxy = decode(encode(offer(asked, BootData(SITE, "file"), FIRMWARE[7], SITE)))
    assert proxy.file == ""
    answers = []

    def answered(boot, address, client, clock):
        del clock
        request = decode(client.proxy_request(5, address.ip))
        assert (boot.siaddr, request.ciaddr) == (SITE, ADDRESS.ip)
        answers.append(decode(encode(acknowledge(request, BootData(SITE, "file"), SITE))))
        return answers[-1]

    monkeypatch.setattr(firmware, "_asked", answered)
    found = firmware._network(ADDRESS, [site_offer(asked), proxy], client, Clock())
    assert (found.server, found.file, len(answers)) == (SITE, "file", 1)


def test_a_menu_of_the_local_disk_is_nothing_to_boot():
    client = DhcpClient(MAC, UUID)
    asked = decode(client.discover(9))
    menu = BootData(UNSPECIFIED, "", "PXEClient", LOCAL_BOOT_MENU)
    proxy = decode(encode(offer(asked, menu, FIRMWARE[0], SITE)))
    found = firmware._network(ADDRESS, [site_offer(asked), proxy], client, Clock())
    assert found.file == ""


def test_the_scripts_that_the_server_writes_are_understood():
    line = kernel_command_line(
        EnrollmentCredentials("https://10.77.0.1:8443", "0" * 64, "t" * 20), MAC, ["quiet"]
    )
    found = read_script(ipxe_script(line, "http://10.77.0.1:8080"))
    assert found is not None
    assert found.command_line == f"initrd=initrd.img {line}"
    assert found.files == (
        "http://10.77.0.1:8080/boot/files/vmlinuz",
        "http://10.77.0.1:8080/boot/files/initrd.img",
    )
    assert read_script(IPXE_LOCAL_DISK) is None
    assert read_script(ipxe_ask_again("http://10.77.0.1:8080", MAC)) == AnotherScript(
        f"http://10.77.0.1:8080/boot/ipxe/{MAC.replace(':', '-')}", ASK_AGAIN_SECONDS
    )


@pytest.mark.parametrize("text", ["", "echo no script", "#!ipxe\nimgfetch x", "#!ipxe\nboot"])
def test_a_script_that_is_not_understood_is_refused(text):
    with pytest.raises(ScriptError):
        read_script(text)


def test_a_blank_disk_boots_nothing_and_takes_no_room(tmp_path):
    disk = tmp_path / "disk.raw"
    make_blank(disk, 64 << 20)
    assert disk.stat().st_blocks == 0
    with pytest.raises(NotBootableError, match="no partition table"):
        system_on(disk)


@pytest.mark.parametrize("record", ["{}", "[]", "null", '{"hostname": "x", "addresses": []}'])
def test_a_record_that_is_no_identity_is_refused(record):
    with pytest.raises(ValueError, match="no simulated identity"):
        read_identity(record)


def test_programs_end_with_the_power():
    power = PowerState(lambda: 0.5)
    clock = power.clock()
    clock.monotonic()
    power.cut.set()
    for call in (clock.monotonic, lambda: clock.pause(9), power.pause, power.check):
        with pytest.raises(PowerCutError):
            call()
    assert not issubclass(PowerCutError, Exception)


def test_requests_and_states_survive_the_way():
    request = Request("faults", "sim-0001", Faults(cut_power_in="restore", boots_network=False))
    assert decode_request(encode_request(request)) == request
    states = [MachineState("a", "off", ()), MachineState("b", "installed", ("Deploy-OS", "x"))]
    assert list(states_from_json(states_to_json(states)).values()) == states


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"verb": "status"}',
        b'{"verb": "explode", "machine": "", "faults": {}}',
        b'{"verb": "faults", "machine": "", "faults": {"x": 1}}',
    ],
)
def test_a_request_that_is_none_is_refused(line):
    with pytest.raises(CodedError, match="RW814"):
        decode_request(line)


def test_every_kind_of_fault_goes_wrong_in_some_way_and_is_in_the_reference():
    page = (Path(__file__).parents[2] / "docs/reference/simulated-machines.md").read_text("utf-8")
    for name, kind in KINDS.items():
        assert kind.faults != Faults()
        assert f"| `{name}` | {kind.meaning} |" in page
    assert not KINDS["no-boot"].timed
    assert KINDS["late-report"].lasting(30).late_seconds == 30


def test_a_machine_may_have_several_faults():
    both = KINDS["no-boot"].faults.with_faults_of(KINDS["same-machine-id"].faults)
    assert both == replace(KINDS["same-machine-id"].faults, boots=False)
    every = Faults()
    for kind in KINDS.values():
        every = every.with_faults_of(kind.faults)
    spared = {"fail_before"}
    changed = {each.name for each in fields(Faults) if getattr(every, each.name) != each.default}
    assert changed == {each.name for each in fields(Faults)} - spared
