"""The TFTP server against curl, tftp-hpa, atftp, and datagrams that no client sends."""

import os
import random
import selectors
import socket
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import ExitStack, closing
from ipaddress import IPv4Address
from pathlib import Path
from threading import Event, Thread, current_thread

import pytest

from agent.errors import TerminalError
from providers.netboot.server import Ports
from providers.netboot.tftp_server import TftpServer
from providers.netboot.unanswered import Unanswered
from tests.protocol.netboot_site import RunningSite, run_program, serving
from tests.unit.netboot_world import MAC, RecordingAuthority, grant, network

LOCAL = "127.0.0.1"
KERNEL = random.Random(1).randbytes(3_000_001)  # noqa: S311 (content, no secret)


@pytest.fixture
def boot_files(tmp_path: Path) -> Path:
    root = tmp_path / "boot"
    root.mkdir()
    (root / "vmlinuz").write_bytes(KERNEL)
    (root / "empty").write_bytes(b"")
    (root / "one-block").write_bytes(b"x" * 512)
    (root / "deploy-os.json").write_text('{"kernel_arguments": []}')
    (tmp_path / "secret").write_text("secret")
    (root / "outside").symlink_to("../secret")
    return root


@pytest.fixture
def site(boot_files):
    networks = [network("off", subnet="127.0.0.0/8", pool=None)]
    authority = RecordingAuthority([grant()])
    with serving(boot_files, networks, authority, ports=Ports(0, 0, 0)) as running:
        yield running


def curl(site: RunningSite, name: str, *options: str):
    url = f"tftp://{LOCAL}:{site.ports.tftp}/{name}"
    return run_program("curl", "--silent", "--show-error", "--path-as-is", *options, url)


def ended(site: RunningSite, count: int = 1) -> list[str]:
    """Return how transfers ended, once ``count`` have: the note comes after the last packet."""
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        endings = [detail for detail in site.noted() if " bytes in " in detail]
        if len(endings) >= count:
            return endings
        time.sleep(0.01)
    raise AssertionError(site.noted())


@pytest.mark.parametrize("options", [(), ("--tftp-blksize", "1432"), ("--tftp-no-options",)])
def test_curl_gets_every_byte(site, tmp_path, options):
    target = tmp_path / "got"
    done = curl(site, "vmlinuz", "--output", str(target), *options)
    assert done.stderr == ""
    assert target.read_bytes() == KERNEL
    assert ended(site)[0].startswith(f"vmlinuz complete: {len(KERNEL)} bytes in ")


def test_tftp_hpa_gets_every_byte(site, tmp_path):
    target = tmp_path / "got"
    port = str(site.ports.tftp)
    done = run_program("tftp", LOCAL, port, "-m", "binary", "-c", "get", "vmlinuz", str(target))
    assert done.stdout + done.stderr == ""
    assert target.read_bytes() == KERNEL


@pytest.mark.parametrize(
    "options",
    [(), ("--option", "blksize 1024"), ("--option", "tsize 0", "--option", "blksize 9000")],
)
def test_atftp_gets_every_byte(site, tmp_path, options):
    target = tmp_path / "got"
    port = str(site.ports.tftp)
    arguments = ("--get", "-r", "/vmlinuz", "-l", str(target), *options, LOCAL, port)
    done = run_program("atftp", *arguments)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == KERNEL


@pytest.mark.parametrize("name", ["empty", "one-block"])
@pytest.mark.parametrize("options", [(), ("--option", "blksize 64", "--option", "tsize 0")])
def test_files_that_end_at_a_block_boundary_arrive(site, boot_files, tmp_path, name, options):
    target = tmp_path / "got"
    arguments = ("--get", "-r", name, "-l", str(target), *options)
    done = run_program("atftp", *arguments, LOCAL, str(site.ports.tftp))
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == (boot_files / name).read_bytes()
    assert ended(site)[0].startswith(f"{name} complete")


def test_a_file_of_more_than_65535_blocks_arrives(site, boot_files, tmp_path):
    content = KERNEL[: 70_000 * 16]
    (boot_files / "large").write_bytes(content)
    target = tmp_path / "got"
    done = curl(site, "large", "--output", str(target), "--tftp-blksize", "16")
    assert done.returncode == 0
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    "name", ["../secret", "/../secret", "outside", "..\\secret", "/etc/passwd", "absent"]
)
def test_names_that_lead_out_are_not_found(site, name):
    done = curl(site, name)
    assert done.returncode == 68  # curl: TFTP file not found
    assert done.stdout == ""


def test_grub_finds_its_configuration_and_that_leads_to_the_machines_script(site):
    assert "configfile /grub/machine/$net_default_mac" in curl(site, "/grub/grub.cfg").stdout
    script = curl(site, f"/grub/machine/{MAC}").stdout
    assert "rackwright.token=" in script
    (asked,) = site.authority.decided
    assert (asked.route, asked.mac, asked.source) == ("tftp", MAC, LOCAL)
    assert curl(site, "/grub/machine/nonsense").returncode == 68


def test_the_authority_is_only_used_in_the_event_loops_thread(site):
    seen = []
    decide, note = site.authority.decide, site.authority.note

    def from_where(method):
        def noting(request):
            seen.append(current_thread().name)
            return method(request)

        return noting

    site.authority.decide, site.authority.note = from_where(decide), from_where(note)
    curl(site, f"/grub/machine/{MAC}")
    ended(site)
    assert set(seen) == {"site"}


def test_uploads_are_refused(site, tmp_path):
    source = tmp_path / "upload"
    source.write_text("x")
    done = curl(site, "vmlinuz", "--upload-file", str(source))
    assert done.returncode == 69  # curl: TFTP access violation


def test_netascii_is_refused_with_the_reason(site, tmp_path):
    target = tmp_path / "got"
    done = run_program(
        "tftp", LOCAL, str(site.ports.tftp), "-m", "netascii", "-c", "get", "vmlinuz", str(target)
    )
    assert "only octet (binary) mode is served" in done.stdout + done.stderr


# --- datagrams by hand ----------------------------------------------------------------


def client() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind((LOCAL, 0))
    return sock


def request(name: str, *options: str) -> bytes:
    words = [name, "octet", *options]
    return b"\0\1" + b"".join(word.encode() + b"\0" for word in words)


def test_only_what_was_asked_for_stands_in_the_oack(site):
    with closing(client()) as sock:
        sock.sendto(request("vmlinuz", "tsize", "0", "windowsize", "4"), (LOCAL, site.ports.tftp))
        packet, server = sock.recvfrom(2000)
        # EDK2 gives up when a block size stands here that it did not ask for.
        assert packet == b"\0\6tsize\x003000001\0"
        sock.sendto(b"\0\5\0\x08enough\0", server)
    assert ended(site) == ["vmlinuz stopped by the client: 0 bytes in 0.0 s"]


def test_a_lost_packet_is_sent_again(site):
    with closing(client()) as sock:
        sock.sendto(request("one-block"), (LOCAL, site.ports.tftp))
        first, _ = sock.recvfrom(2000)
        again, server = sock.recvfrom(2000)
        assert first == again == b"\0\3\0\1" + b"x" * 512
        sock.sendto(b"\0\4\0\1", server)
        last, _ = sock.recvfrom(2000)
        assert last == b"\0\3\0\2"
        sock.sendto(b"\0\4\0\2", server)
    assert ended(site)[0].startswith("one-block complete: 512 bytes")


def test_others_cannot_acknowledge_for_a_client(site):
    with closing(client()) as sock, closing(client()) as stranger:
        sock.sendto(request("vmlinuz"), (LOCAL, site.ports.tftp))
        first, server = sock.recvfrom(2000)
        stranger.sendto(b"\0\4\0\1", server)
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.recvfrom(2000)
        assert first[:4] == b"\0\3\0\1"


def test_a_port_can_be_used_again_for_another_request(site):
    with closing(client()) as sock:
        sock.sendto(request("vmlinuz"), (LOCAL, site.ports.tftp))
        sock.recvfrom(2000)
        sock.sendto(request("one-block"), (LOCAL, site.ports.tftp))
        packet, _ = sock.recvfrom(2000)
        assert packet == b"\0\3\0\1" + b"x" * 512


def test_a_late_copy_of_the_request_does_not_end_the_transfer(site):
    with closing(client()) as sock:
        sock.sendto(request("vmlinuz"), (LOCAL, site.ports.tftp))
        for number in range(1, 6):
            packet, server = sock.recvfrom(2000)
            assert packet[:4] == b"\0\3" + number.to_bytes(2)
            sock.sendto(request("vmlinuz"), (LOCAL, site.ports.tftp))
            sock.sendto(b"\0\4" + number.to_bytes(2), server)
        assert sock.recvfrom(2000) == (b"\0\3\0\6" + KERNEL[5 * 512 : 6 * 512], server)


def test_transfers_share_the_descriptor_of_their_file(site):
    before = len(tuple(Path("/proc/self/fd").iterdir()))
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(client())) for _ in range(40)]
        for sock in clients:
            sock.sendto(request("vmlinuz"), (LOCAL, site.ports.tftp))
        for sock in clients:
            assert sock.recvfrom(2000)[0][:4] == b"\0\3\0\1"
        # 40 sockets here, 40 there, one file.
        assert len(tuple(Path("/proc/self/fd").iterdir())) - before == 81


def test_a_file_that_is_replaced_is_whole_for_either_reader(site, boot_files):
    with closing(client()) as early, closing(client()) as late:
        early.sendto(request("one-block"), (LOCAL, site.ports.tftp))
        _, server = early.recvfrom(2000)
        (boot_files / "new").write_bytes(b"y" * 512)
        (boot_files / "new").replace(boot_files / "one-block")
        late.sendto(request("one-block"), (LOCAL, site.ports.tftp))
        assert late.recvfrom(2000)[0] == b"\0\3\0\1" + b"y" * 512
        early.sendto(b"\0\4\0\1", server)
        assert early.recvfrom(2000)[0] == b"\0\3\0\2"


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        (b"one-block\0octet\0tsize\0\0", b"\0\3\0\1"),
        (b"one-block\0octet\0blksize\x00600\0\0\0\0", b"\0\6blksize\x00600\0"),
        (b"one-block\0octet\0blksize\x00600", b"\0\6blksize\x00600\0"),
        (b"one-block\xff\xff\0octet\0", b"\0\5\0\1one-block??: file not found\0"),
        ("Büro\0octet\0".encode(), b"\0\5\0\1B?ro: file not found\0"),
        (b"one-block", b"\0\5\0\4a request without a name or a mode\0"),
    ],
)
def test_odd_requests_are_answered_at_once(site, tail, answer):
    with closing(client()) as sock:
        sock.sendto(b"\0\1" + tail, (LOCAL, site.ports.tftp))
        packet, server = sock.recvfrom(2000)
        assert packet.startswith(answer)
        sock.sendto(b"\0\5\0\x08enough\0", server)


def test_garbage_does_not_end_the_service(site):
    noise = random.Random(2)  # noqa: S311 (noise, no secret)
    with closing(client()) as sock:
        for _ in range(100):
            head = bytes([0, noise.randrange(7)])
            sock.sendto(head + noise.randbytes(noise.randrange(60)), (LOCAL, site.ports.tftp))
    assert curl(site, "one-block").stdout == "x" * 512


def test_garbage_in_a_transfer_does_not_end_it(site):
    with closing(client()) as sock:
        sock.sendto(request("one-block", "blksize", "many"), (LOCAL, site.ports.tftp))
        first, server = sock.recvfrom(2000)
        assert first[:4] == b"\0\3\0\1"
        for garbage in (b"", b"\0", b"\0\4", b"\0\4\0", b"\0\6\xff", b"\0\1x", b"\0\4\x77\x77"):
            sock.sendto(garbage, server)
        sock.sendto(b"\0\4\0\1", server)
        assert sock.recvfrom(2000)[0] == b"\0\3\0\2"
        sock.sendto(b"\0\4\0\2", server)
    assert ended(site)[0].startswith("one-block complete")


def test_many_clients_at_once_all_get_their_file(site):
    results: list[bool] = []

    def fetch() -> None:
        done = curl(site, "one-block", "--tftp-blksize", "16")
        results.append(done.stdout == "x" * 512)

    threads = [Thread(target=fetch) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20


# --- the server by itself -------------------------------------------------------------


def test_a_file_that_is_slow_to_open_holds_up_no_other_transfer(boot_files):
    slow: Future = Future()
    asked = Event()

    def open_file(name, _source):
        if name == "slow":
            asked.set()
            return slow
        future: Future = Future()
        future.set_result((boot_files / name).open("rb"))
        return future

    server = TftpServer("lo", IPv4Address(LOCAL), 0, open_file, lambda *_: None, Unanswered())
    server.start()
    try:
        with closing(client()) as sock, closing(client()) as other:
            sock.sendto(request("slow"), (LOCAL, server.port))
            assert asked.wait(5)
            other.sendto(request("one-block"), (LOCAL, server.port))
            assert other.recvfrom(2000)[0].startswith(b"\0\3\0\1x")
            slow.set_result((boot_files / "empty").open("rb"))
            assert sock.recvfrom(2000)[0] == b"\0\3\0\1"
    finally:
        server.stop()


def test_stopping_breaks_off_transfers_and_frees_the_port(boot_files):
    endings: list[str] = []

    def open_file(name, _source):
        future: Future = Future()
        future.set_result((boot_files / name).open("rb"))
        return future

    def ended(_source, detail):
        endings.append(detail)

    server = TftpServer("lo", IPv4Address(LOCAL), 0, open_file, ended, Unanswered())
    server.start()
    port = server.port
    with closing(client()) as sock:
        sock.sendto(request("vmlinuz"), (LOCAL, port))
        sock.recvfrom(2000)
        server.stop()
    assert len(endings) == 1
    assert endings[0].startswith("vmlinuz server stopped: 512 bytes in ")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind((LOCAL, port))


def test_a_taken_port_names_the_process(boot_files):
    with closing(client()) as holder:
        port = holder.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        with (
            pytest.raises(TerminalError) as caught,
            serving(boot_files, [], RecordingAuthority(), ports=Ports(0, 0, port)),
        ):
            pass
    assert caught.value.cause == (
        f"port {port}/udp on 127.0.0.1 is already taken by {name} (pid {os.getpid()})"
    )


def test_an_address_that_is_not_here_is_an_error_that_says_what_to_check(boot_files):
    with (
        pytest.raises(TerminalError) as caught,
        serving(boot_files, [], RecordingAuthority(), address="192.0.2.1"),
    ):
        pass
    assert caught.value.code == "RW302"
    assert "Check that interface lo exists" in caught.value.action


# --- bounds ----------------------------------------------------------------------------


def opener(root: Path):
    def open_file(name, _source):
        future: Future = Future()
        try:
            future.set_result((root / name).open("rb"))
        except OSError as error:
            future.set_exception(error)
        return future

    return open_file


def test_more_transfers_of_one_source_than_it_may_have_wait_their_turn(boot_files):
    server = TftpServer(
        "lo", IPv4Address(LOCAL), 0, opener(boot_files), lambda *_: None, Unanswered(), per_source=2
    )
    server.start()
    try:
        with closing(client()) as first, closing(client()) as second, closing(client()) as third:
            for sock in (first, second, third):
                sock.sendto(request("one-block"), (LOCAL, server.port))
            assert second.recvfrom(2000)[0].startswith(b"\0\3\0\1x")
            third.settimeout(0.3)
            with pytest.raises(TimeoutError):
                third.recvfrom(2000)
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
                other.bind(("127.0.0.2", 0))
                other.settimeout(5)
                other.sendto(request("one-block"), (LOCAL, server.port))
                assert other.recvfrom(2000)[0].startswith(b"\0\3\0\1x")
            packet, session = first.recvfrom(2000)
            assert packet.startswith(b"\0\3\0\1x")
            first.sendto(b"\0\5\0\0done\0", session)
            third.settimeout(5)
            assert third.recvfrom(2000)[0].startswith(b"\0\3\0\1x")
    finally:
        server.stop()


FEW_DESCRIPTORS = """
import resource, sys
import structlog
from concurrent.futures import Future
from ipaddress import IPv4Address
from pathlib import Path
from providers.netboot.tftp_server import TftpServer
from providers.netboot.unanswered import Unanswered

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(20))

def open_file(name, source):
    future = Future()
    try:
        future.set_result((Path(sys.argv[1]) / name).open("rb"))
    except OSError as error:
        future.set_exception(error)
    return future

server = TftpServer(
    "lo", IPv4Address("127.0.0.1"), 0, open_file, lambda *_: None, Unanswered(), per_source=1000
)
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))  # after it counted on many more
print(server.port, flush=True)
sys.stdin.read()
"""


def test_a_storm_with_few_descriptors_is_served_to_the_last_without_a_word_of_missing_files(
    boot_files,
):
    command = [sys.executable, "-c", FEW_DESCRIPTORS, str(boot_files)]
    root = Path(__file__).parents[2]
    with (
        subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        ExitStack() as stack,
        selectors.DefaultSelector() as selector,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(200):
            sock = stack.enter_context(closing(client()))
            sock.sendto(request("one-block"), (LOCAL, port))
            selector.register(sock, selectors.EVENT_READ)
        done = 0
        limit = time.monotonic() + 40
        while done < 200:
            assert time.monotonic() < limit, done
            for key, _ in selector.select(1):
                packet, server = key.fileobj.recvfrom(2000)
                assert packet[:2] == b"\0\3", packet
                key.fileobj.sendto(b"\0\4" + packet[2:4], server)
                if packet == b"\0\3\0\2":
                    selector.unregister(key.fileobj)
                    done += 1
