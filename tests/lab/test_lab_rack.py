"""The virtual rack itself: what boots, what wakes, what is lost, and what stays when it dies."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from builders.lab_console import Console
from builders.lab_site import CACHE

from agent.errors import CodedError
from providers.lab.directory import LabDirectory, peer_process
from providers.lab.namespace import processes_in
from providers.lab.rack_file import parse_rack
from providers.lab.up import rack_up

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

MACHINES = {
    "gpt": "firmware: bios, disk: {size: 2GiB, serial: GPT, prepare: debian12}",
    "mbr": "firmware: bios, disk: {size: 2GiB, serial: MBR, prepare: debian12, table: mbr}",
    "secure": "firmware: uefi-secure-boot, disk: {size: 2GiB, serial: SEC, prepare: debian12}",
    "plain": "firmware: uefi, memory: 256MiB, disk: {size: 1GiB, serial: PLAIN, bus: scsi}",
    "blank": "firmware: bios, memory: 256MiB, disk: {size: 1GiB, serial: BLANK, bus: nvme}",
    "lossy": "firmware: bios, link: {loss: 20%}, disk: {size: 1GiB, serial: LOSSY}",
    "slow": "firmware: bios, link: {rate: 1Mbit/s}, disk: {size: 1GiB, serial: SLOW}",
}
# Emulated on a busy computer these take a multiple of what they take on a quiet one.
FIRMWARE, BOOT = 300.0, 600.0


def mac(name):
    return f"52:54:00:00:00:{list(MACHINES).index(name) + 1:02x}"


def rack_of(*names):
    rows = "".join(
        f'- {{name: {name}, mac: "{mac(name)}", {MACHINES[name]}, '
        f"uuid: 77000000-0000-4000-8000-{index:012}}}\n"
        for index, name in enumerate(names, 1)
    )
    return parse_rack(f"machines:\n{rows}".encode(), "rack.yaml")


@pytest.fixture(scope="module")
def rack(tmp_path_factory):
    """One rack with all machines; a test switches off what it switched on."""
    directory = tmp_path_factory.mktemp("rack")
    client = rack_up(rack_of(*MACHINES), directory, CACHE / "golden", print)
    yield client
    assert client.down()
    for disk in directory.rglob("disk.raw"):
        disk.unlink()


@pytest.fixture(autouse=True)
def consoles(rack, keep_consoles):
    """Let a failed test show and keep the consoles of the machines."""
    for name in MACHINES:
        path = LabDirectory.at(rack.directory).machine(name).console
        path.touch()
        (keep_consoles / f"{name}.log").symlink_to(path)


@contextmanager
def powered_on(rack, name):
    """Switch a machine on; yield its console."""
    rack.power_on(name)
    try:
        yield Console(rack.console_path(name))
    finally:
        rack.power_off(name)


def power(rack, name):
    return {status.name: status for status in rack.status().machines}[name].power


def inside(rack, *command, **options):
    """Run a command on the rack's network; return what it printed."""
    done = subprocess.run(
        rack.exec_argv(command), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_inside(rack, program, *arguments):
    return inside(rack, sys.executable, "-c", program, *arguments)


def supervisor_of(rack):
    with LabDirectory.at(rack.directory).connect(10) as connection:
        return peer_process(connection)


def qemu_of(rack, name):
    """Return the process of a machine's QEMU."""
    namespace = str(Path(f"/proc/{supervisor_of(rack)}/ns/net").readlink())
    found = [
        process
        for process in processes_in(namespace)
        if f"-name\0{name}\0" in Path(f"/proc/{process}/cmdline").read_text()
    ]
    assert len(found) == 1
    return found[0]


@contextmanager
def will_end(*processes):
    """Expect processes to end by what is done inside."""
    with ExitStack() as stack:
        handles = [os.pidfd_open(process) for process in processes]
        for handle in handles:
            stack.callback(os.close, handle)
        yield
        for handle in handles:
            assert select.select([handle], [], [], 60)[0], "a process goes on"


def test_a_gpt_disk_boots_by_bios_when_the_network_has_nothing(rack):
    with powered_on(rack, "gpt") as console:
        console.wait_for("Configuring|No configuration methods", FIRMWARE)
        console.wait_for("Booting from Hard Disk", FIRMWARE)
        console.wait_for("^gpt login:", BOOT)


@pytest.mark.nightly
def test_a_gpt_disk_boots_with_secure_boot_when_the_network_has_nothing(rack):
    with powered_on(rack, "secure") as console:
        console.wait_for("Start PXE over IPv4", FIRMWARE)
        console.wait_for("UEFI Secure Boot is enabled", BOOT)
        console.wait_for("^secure login:", BOOT)
    shown = LabDirectory.at(rack.directory).machine("secure").console.read_text(errors="replace")
    assert "over IPv6" not in shown


def test_an_mbr_disk_boots_and_its_owner_can_log_in_and_shut_it_down(rack, tmp_path):
    dnsmasq = [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"),
        *("--interface=rack0", "--bind-interfaces", f"--pid-file={tmp_path}/dnsmasq.pid"),
        *("--dhcp-range=10.77.0.50,10.77.0.99", f"--dhcp-leasefile={tmp_path}/leases"),
        f"--dhcp-host={mac('mbr')},10.77.0.50",
    ]
    ssh = [
        *("ssh", "-F", "none", "-i", str(rack.ssh_key), "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "ConnectTimeout=30", "-o", "ConnectionAttempts=10", "root@10.77.0.50"),
    ]
    modules = "import json, sqlite3, ssl, subprocess, urllib.request; print(ssl.OPENSSL_VERSION)"
    server = subprocess.Popen(rack.exec_argv(dnsmasq), stderr=subprocess.DEVNULL)
    try:
        with powered_on(rack, "mbr") as console:
            identity = console.wait_for(r"machine-id ([0-9a-f]{32})$", BOOT)
            assert inside(rack, *ssh, "cat /etc/machine-id").strip() == identity[1]
            assert inside(rack, *ssh, "hostname") == "mbr\n"
            assert "OpenSSL 3" in inside(rack, *ssh, f"python3 -c '{modules}'")
            used = inside(rack, *ssh, "df --output=used --block-size=1M /").split()[-1]
            assert int(used) < 450
            with will_end(qemu_of(rack, "mbr")):
                subprocess.run(rack.exec_argv([*ssh, "systemctl poweroff"]), check=False)
                console.wait_for("reboot: Power down", BOOT)
            deadline = time.monotonic() + 10
            while power(rack, "mbr") == "on":  # the supervisor hears of it a moment later
                assert time.monotonic() < deadline
            assert rack.status().machines[1].note == "it shut down"
    finally:
        server.terminate()
        server.wait()


BY_UDP = """
import sys
from ipaddress import IPv4Address
from providers.power.wake_on_lan import power_on
power_on([sys.argv[1]], IPv4Address("10.77.0.255"))
"""
WITHOUT_IP = """
import socket, sys
from providers.power.wake_on_lan import magic_packet
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("rack0", 0x0842))
    wire.send(b"\\xff" * 6 + b"\\2" + b"\\0" * 5 + b"\\x08\\x42" + magic_packet(sys.argv[1]))
"""


@pytest.mark.parametrize("program", [BY_UDP, WITHOUT_IP], ids=["UDP", "Ethernet"])
def test_a_magic_packet_starts_its_machine_and_no_other(rack, program):
    console = Console(rack.console_path("plain"))
    python_inside(rack, program, "52:54:00:00:00:77")
    python_inside(rack, program, mac("plain"))
    try:
        console.wait_for("BdsDxe|PXE", FIRMWARE)
        assert [each.name for each in rack.status().machines if each.power == "on"] == ["plain"]
        before = qemu_of(rack, "plain")
        python_inside(rack, program, mac("plain"))
        assert rack.status().accelerator in {"kvm", "tcg"}
        assert qemu_of(rack, "plain") == before
    finally:
        rack.power_off("plain")


def test_reset_starts_the_firmware_again_and_off_is_off(rack, tmp_path):
    with powered_on(rack, "blank") as console:
        console.wait_for("SeaBIOS", FIRMWARE)
        process = qemu_of(rack, "blank")
        rack.power_on("blank")
        assert qemu_of(rack, "blank") == process
        rack.reset("blank")
        console.wait_for("SeaBIOS", FIRMWARE)
        assert qemu_of(rack, "blank") == process
        rack.screenshot("blank", tmp_path / "screen.png")
        assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG\r\n")
        with will_end(process):
            rack.power_off("blank")
    rack.power_off("blank")
    assert power(rack, "blank") == "off"
    with pytest.raises(CodedError, match=r"^RW813: blank: reset failed: it is off\. "):
        rack.reset("blank")
    with pytest.raises(CodedError, match=r"^RW805: .* 'blnk'\. .* such as blank"):
        rack.power_on("blnk")


def test_a_machine_that_cannot_start_says_why(rack):
    disk = LabDirectory.at(rack.directory).machine("lossy").disk
    disk.rename(disk.with_name("away"))
    try:
        with pytest.raises(CodedError) as caught:
            rack.power_on("lossy")
    finally:
        disk.with_name("away").rename(disk)
    assert "RW813: lossy: power on failed: qemu-system-x86_64: " in str(caught.value)
    assert f"Could not open '{disk}': No such file or directory" in str(caught.value)
    assert power(rack, "lossy") == "off"


# Plays the machine at the other end of the cable: counts what arrives of 1000 frames.
CABLE = """
import os, select, socket, sys
from providers.lab.network import hold_up
bridge = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
bridge.bind(("rack0", 0x88B5))
bridge.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
bridge.settimeout(0)
frame = b"\\xff" * 6 + b"\\2" + b"\\0" * 5 + b"\\x88\\xb5" + bytes(1400)
def count(read):
    found = 0
    while True:
        try:
            found += read(2000) == frame
        except BlockingIOError:
            return found
with hold_up(sys.argv[1]) as machine:
    os.set_blocking(machine.fileno(), False)
    def read(size):
        return os.read(machine.fileno(), size)
    def comes(seconds):
        return select.select([machine], [], [], seconds)[0]
    for _ in range(100):  # the kernel lets frames through a moment after the carrier is there
        bridge.send(frame)
        if comes(0.1) and count(read):
            break
    arrived = 0
    for _ in range(1000):
        bridge.send(frame)
        arrived += count(read)
    while comes(0.2):
        arrived += count(read)
    for _ in range(1000):
        machine.write(frame)
    print(arrived, count(bridge.recv))
"""


def tap(name):
    return f"tap{list(MACHINES).index(name)}"


def test_a_good_cable_loses_nothing(rack):
    assert python_inside(rack, CABLE, tap("blank")) == "1000 1000\n"


def test_a_bad_cable_loses_its_share_in_both_directions(rack):
    received, sent = map(int, python_inside(rack, CABLE, tap("lossy")).split())
    assert 700 < received < 900  # the odds against are 1 in 10^14
    assert 700 < sent < 900


def test_a_slow_cable_holds_up_what_comes_to_the_machine(rack):
    received, sent = map(int, python_inside(rack, CABLE, tap("slow")).split())
    assert 2 <= received < 500
    assert sent == 1000


def test_a_command_runs_on_the_racks_network_with_its_own_exit_code(rack):
    script = "ip -brief -4 address show rack0; echo $RACKWRIGHT_LAB; exit 7"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "reconciler.cli", "lab", "--dir", rack.directory),
            *("exec", "--", "sh", "-c", script),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert done.stdout.split() == ["rack0", "UP", "10.77.0.1/24", str(rack.directory)]


def test_a_rack_that_is_up_is_not_started_again(rack):
    with pytest.raises(CodedError, match=r"^RW806: a rack is already up in "):
        rack_up(rack_of("blank"), rack.directory, CACHE, print)


def test_nothing_stays_of_a_rack_that_is_killed_and_the_next_one_starts(rack, tmp_path):
    """It stands beside the other rack, with the same addresses."""
    place = tmp_path / "lab"
    killed = rack_up(rack_of("blank", "plain"), place, CACHE, print)
    for name in ("blank", "plain"):
        killed.power_on(name)
    supervisor = supervisor_of(killed)
    namespace = str(Path(f"/proc/{supervisor}/ns/net").readlink())
    machines = [qemu_of(killed, "blank"), qemu_of(killed, "plain")]
    with will_end(supervisor, *machines):
        os.kill(supervisor, signal.SIGKILL)
    assert list(processes_in(namespace)) == []
    assert namespace not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(CodedError, match=r"^RW807: "):
        killed.status()

    again = rack_up(rack_of("blank", "plain"), place, CACHE, print)
    assert [machine.power for machine in again.status().machines] == ["off", "off"]
    sleeps = ["sh", "-c", "echo inside; exec sleep 1000"]
    with subprocess.Popen(again.exec_argv(sleeps), stdout=subprocess.PIPE) as guest:
        assert guest.stdout.readline() == b"inside\n"
        with will_end(supervisor_of(again), guest.pid):
            assert again.down() is True
        assert guest.wait() == -signal.SIGTERM
    assert again.down() is False
    assert rack.status().address == "10.77.0.1/24"
