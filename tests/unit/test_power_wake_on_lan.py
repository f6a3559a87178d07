import re
import socket
from ipaddress import IPv4Address
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CodedError
from providers.power import wake_on_lan
from providers.power.wake_on_lan import magic_packet, parse_magic_packet

MAC = "52:54:00:77:00:10"
# A frame of etherwake(8) on the wire: destination, source, ethertype 0842, packet.
ETHERWAKE = bytes.fromhex("5254007700100200000000010842") + magic_packet(MAC)


def test_a_magic_packet_is_six_times_ff_and_sixteen_times_the_address():
    assert magic_packet(MAC) == bytes.fromhex("ffffffffffff" + "525400770010" * 16)
    assert len(magic_packet(MAC)) == 102


@pytest.mark.parametrize("mac", ["52-54-00-77-00-10", "525400770010", "52:54:00:77:00:10".upper()])
def test_an_address_may_be_written_in_several_ways(mac):
    assert magic_packet(mac) == magic_packet(MAC)


@pytest.mark.parametrize(
    "mac", ["", "52:54:00:77:00", "52:54:00:77:00:1g", f"{MAC}:11", f"{MAC}\n"]
)
def test_what_is_no_address_is_refused(mac):
    with pytest.raises(CodedError) as caught:
        magic_packet(mac)
    assert str(caught.value) == (
        f"RW601: {mac!r} is not a MAC address. "
        "Write six bytes in hexadecimal, such as 52:54:00:12:34:56."
    )


def test_a_magic_packet_is_found_in_a_frame():
    assert parse_magic_packet(ETHERWAKE) == MAC
    assert parse_magic_packet(ETHERWAKE + b"\x00" * 6) == MAC


def test_an_address_that_begins_with_ff_is_found():
    assert parse_magic_packet(magic_packet("ff:ff:ff:00:00:01")) == "ff:ff:ff:00:00:01"


def test_fifteen_repetitions_are_not_enough():
    assert parse_magic_packet(ETHERWAKE[:-6]) is None


def test_one_different_repetition_spoils_it():
    assert parse_magic_packet(ETHERWAKE[:-1] + b"\x11") is None


@given(st.binary(max_size=60), st.binary(min_size=6, max_size=6), st.binary(max_size=60))
def test_a_packet_is_found_wherever_it_lies(before, mac, after):
    frame = before + magic_packet(mac.hex()) + after
    assert parse_magic_packet(frame) is not None


@given(st.binary(max_size=300))
def test_garbage_wakes_nobody_by_a_crash(frame):
    found = parse_magic_packet(frame)
    assert found is None or magic_packet(found) in frame


class RecordingSocket(socket.socket):
    sent: ClassVar[list[tuple[bytes, tuple[str, int]]]] = []

    def sendto(self, packet, address):
        self.sent.append((packet, address))


def test_every_nic_of_the_machine_is_called_three_times(monkeypatch):
    monkeypatch.setattr(socket, "socket", RecordingSocket)
    macs = (MAC, "52:54:00:77:00:11")
    wake_on_lan.power_on(macs, IPv4Address("10.77.0.255"))
    assert RecordingSocket.sent == [
        (magic_packet(mac), ("10.77.0.255", 9)) for mac in macs for _ in range(3)
    ]


def test_a_network_that_refuses_the_packet_is_worth_another_try():
    with pytest.raises(CodedError) as caught:
        wake_on_lan.power_on([MAC], IPv4Address("127.0.0.1"), "no-such-device")
    assert type(caught.value).__name__ == "TransientError"
    assert re.fullmatch(
        r"RW603: the magic packet to 127\.0\.0\.1 by no-such-device could not be sent: .+\. "
        r"Check that this host has an interface in the machine's network\.",
        str(caught.value),
    )
