import errno
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agent.errors import TerminalError
from providers.netboot import port_owner
from providers.netboot.port_owner import bind_error, socket_inodes

ANY = IPv4Address(0)
LOCAL = IPv4Address("127.0.0.1")

# Captured from Linux 6.1: tftpd on 127.0.0.1:69, dnsmasq on 0.0.0.0:67.
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  171: 0100007F:0045 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31337 2 0000000000000000 0
  169: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000   105        0 4242 2 0000000000000000 0
"""  # noqa: E501 (captured)
# A web server listening on port 8080, and one of its connections.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 778 1 0000000000000000 20 4 30 10 -1
"""  # noqa: E501 (captured)


def test_a_socket_is_found_by_its_address_and_port():
    assert socket_inodes(UDP, "udp", LOCAL, 69) == {"31337"}
    assert socket_inodes(UDP, "udp", IPv4Address("10.77.0.1"), 69) == set()
    assert socket_inodes(UDP, "udp", LOCAL, 70) == set()


def test_a_socket_on_every_address_has_the_port_on_each():
    assert socket_inodes(UDP, "udp", IPv4Address("10.77.0.1"), 67) == {"4242"}
    assert socket_inodes(UDP, "udp", ANY, 69) == {"31337"}


def test_only_listening_tcp_sockets_have_a_port():
    assert socket_inodes(TCP, "tcp", LOCAL, 8080) == {"777"}


@pytest.mark.parametrize("table", ["", "header\n", "header\nshort line\n"])
def test_a_table_without_sockets_has_none(table):
    assert socket_inodes(table, "udp", ANY, 67) == set()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc with two processes, the second of which is dnsmasq with port 67."""
    net = tmp_path / "thread-self" / "net"
    net.mkdir(parents=True)
    (net / "udp").write_text(UDP)
    for pid, name, links in (
        ("1", "systemd", ["/dev/null", "socket:[1]"]),
        ("812", "dnsmasq", ["socket:[4242]"]),
    ):
        descriptors = tmp_path / pid / "fd"
        descriptors.mkdir(parents=True)
        (tmp_path / pid / "comm").write_text(name + "\n")
        for number, link in enumerate(links):
            (descriptors / str(number)).symlink_to(link)
    (tmp_path / "9999").mkdir()  # ended while we look
    (tmp_path / "uptime").write_text("1 1")
    return tmp_path


def test_the_process_is_named_by_its_open_sockets(proc):
    assert port_owner.port_owner("udp", ANY, 67, proc) == "dnsmasq (pid 812)"
    assert port_owner.port_owner("udp", LOCAL, 69, proc) is None
    assert port_owner.port_owner("tcp", LOCAL, 8080, proc) is None


def test_a_taken_port_says_who_has_it(monkeypatch):
    monkeypatch.setattr(port_owner, "port_owner", lambda *_: "dnsmasq (pid 812)")
    error = bind_error(OSError(errno.EADDRINUSE, "in use"), "udp", ANY, 67, "eth0")
    assert isinstance(error, TerminalError)
    assert str(error) == (
        "RW301: port 67/udp on 0.0.0.0 is already taken by dnsmasq (pid 812). "
        "Stop that service, or let it not use this interface."
    )


def test_a_taken_port_whose_process_cannot_be_seen(monkeypatch):
    monkeypatch.setattr(port_owner, "port_owner", lambda *_: None)
    error = bind_error(OSError(errno.EADDRINUSE, "in use"), "udp", LOCAL, 69, "eth0")
    assert error.cause == (
        "port 69/udp on 127.0.0.1 is already taken by a process that cannot be seen from here"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            errno.EACCES,
            (
                "RW302: port 69/udp on 127.0.0.1 cannot be used: Permission denied. Run as root, "
                "or with the capabilities CAP_NET_BIND_SERVICE and CAP_NET_RAW."
            ),
        ),
        (
            errno.EADDRNOTAVAIL,
            (
                "RW302: port 69/udp on 127.0.0.1 cannot be used: Cannot assign requested address. "
                "Check that interface eth0 exists, is up and has the address 127.0.0.1."
            ),
        ),
    ],
)
def test_other_reasons_say_what_to_check(number, text):
    error = bind_error(OSError(number, "x"), "udp", LOCAL, 69, "eth0")
    assert isinstance(error, TerminalError)
    assert str(error) == text
