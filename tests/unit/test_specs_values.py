"""The types of single fields."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.wire.disk import DiskIdentity
from agent.wire.step import Restore
from specs.types.address_range import AddressRange
from specs.types.grown_partition import GrownPartition
from specs.types.hardware_uuid import HardwareUuid
from specs.types.host_name import DomainName, HostName
from specs.types.ipv4 import Address, InterfaceAddress, Range, Subnet
from specs.types.labels import Labels
from specs.types.line import HardwareText, Line
from specs.types.mac_address import MacAddress
from specs.types.name import MachineName, Name, PathName
from specs.types.run_token import RunToken


def reader(kind: object) -> Callable[[object], Any]:
    return TypeAdapter(kind).validate_python


def refusal(kind: object, value: object) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        reader(kind)(value)
    (error,) = caught.value.errors()
    return error["ctx"]["message"], error["ctx"]["hint"]


@pytest.mark.parametrize("written", ["52:54:00:AB:cd:01", "52-54-00-ab-CD-01"])
def test_mac_addresses_are_kept_in_lower_case_with_colons(written: str) -> None:
    assert reader(MacAddress)(written) == "52:54:00:ab:cd:01"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("525400abcd01", '"525400abcd01" is not a MAC address', 'write "52:54:00:ab:cd:01"'),
        ("5254.00ab.cd01", '"5254.00ab.cd01" is not a MAC address', 'write "52:54:00:ab:cd:01"'),
        (
            "52:54:00:ab:cd",
            '"52:54:00:ab:cd" is not a MAC address',
            'for example "52:54:00:12:34:56", in quotes',
        ),
        (
            "52:54:00:ab-cd-01",
            '"52:54:00:ab-cd-01" is not a MAC address',
            'for example "52:54:00:12:34:56", in quotes',
        ),
        (
            "01:00:5e:00:00:01",
            "01:00:5e:00:00:01 is a multicast address, no machine's own",
            "the second digit of a machine's address is even",
        ),
        (
            "00:00:00:00:00:00",
            "00:00:00:00:00:00 is no machine's address",
            "write the address of the boot NIC",
        ),
    ],
)
def test_what_is_no_machines_mac_address_is_refused(written: str, message: str, hint: str) -> None:
    assert refusal(MacAddress, written) == (message, hint)


def test_uuids_are_kept_in_lower_case() -> None:
    written = "4C4C4544-0042-3510-8052-B4C04F4E4A32"
    assert reader(HardwareUuid)(written) == written.lower()


@pytest.mark.parametrize(
    "written",
    [
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
    ],
)
def test_uuids_that_many_boards_carry_identify_nothing(written: str) -> None:
    assert refusal(HardwareUuid, written) == (
        f"{written.lower()} is a placeholder that many boards carry, no machine's own",
        "remove the line; the MAC address identifies the machine",
    )


def test_what_is_no_uuid_is_refused() -> None:
    assert refusal(HardwareUuid, "4c4c4544") == (
        '"4c4c4544" is not a UUID',
        "for example 4c4c4544-0042-3510-8052-b4c04f4e4a32",
    )


@pytest.mark.parametrize("name", ["a", "7", "node-0713", "a" * 63])
def test_machine_names_are_labels(name: str) -> None:
    assert reader(MachineName)(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "-a.b", "a/b", "ノード"])
def test_what_is_no_label_is_no_machine_name(name: str) -> None:
    message, hint = refusal(MachineName, name)
    assert message.endswith(" is not a machine name")
    assert hint == (
        'up to 63 lower-case letters, digits and "-", with a letter or digit at both ends'
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Node", "write node"),
        ("a_b", "write a-b"),
        ("a b", "write a-b"),
        ("a.b", "write a; the domain goes into spec.identity.domain"),
    ],
)
def test_what_is_nearly_a_machine_name_is_suggested_as_one(name: str, hint: str) -> None:
    assert refusal(MachineName, name) == (f'"{name}" is not a machine name', hint)


def test_a_name_has_up_to_63_characters() -> None:
    for kind in (MachineName, Name, PathName):
        assert refusal(kind, "a" * 64) == (
            "the name has 64 characters, at most 63 are allowed",
            "shorten it",
        )


@pytest.mark.parametrize("name", ["lab", "tokyo-a", "debian12.golden_v2"])
def test_names_may_have_dots_and_underscores(name: str) -> None:
    assert reader(Name)(name) == name
    assert reader(PathName)(name) == name


def test_paths_have_up_to_twenty_levels() -> None:
    twenty = "/".join(["a"] * 20)
    assert reader(PathName)(twenty) == twenty
    assert refusal(PathName, f"{twenty}/a") == (
        "the name has 21 levels, at most 20 are allowed",
        "shorten it",
    )
    long = "/".join(["a" * 63] * 4)
    assert refusal(PathName, long) == (
        "the name has 255 characters, at most 253 are allowed",
        "shorten it",
    )


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a//b", "../a", "a/./b", "A/b", "a b/c"])
def test_what_is_no_path_is_refused(name: str) -> None:
    message, _ = refusal(PathName, name)
    assert message.endswith(" is not a name")


def test_host_names_keep_their_case_and_domains_do_not() -> None:
    assert reader(HostName)("NODE-01") == "NODE-01"
    assert reader(DomainName)("Tokyo.Example.NET") == "tokyo.example.net"


def test_a_full_name_is_split_by_the_hint() -> None:
    assert refusal(HostName, "node-01.example.net") == (
        '"node-01.example.net" is not a host name',
        "write hostname: node-01 and domain: example.net",
    )


def test_addresses_are_ipv4() -> None:
    assert reader(Address)("10.77.0.1") == IPv4Address("10.77.0.1")
    assert reader(Subnet)("10.77.0.0/24") == IPv4Network("10.77.0.0/24")
    assert reader(InterfaceAddress)("10.77.0.11/24") == IPv4Interface("10.77.0.11/24")
    assert reader(Range)("10.77.0.100 - 10.77.0.199") == AddressRange(
        IPv4Address("10.77.0.100"), IPv4Address("10.77.0.199")
    )


@pytest.mark.parametrize(
    ("kind", "written", "message", "hint"),
    [
        (Address, "10.77.0.256", '"10.77.0.256" is not an IPv4 address', "for example 10.77.0.1"),
        (
            Address,
            "fe80::1",
            '"fe80::1" is an IPv6 address',
            "only IPv4 works here; for example 10.77.0.1",
        ),
        (
            Subnet,
            "10.77.0.5/24",
            '"10.77.0.5/24" is an address, not a subnet',
            "write 10.77.0.0/24",
        ),
        (
            Subnet,
            "10.77.0.0/255.255.255.0",
            '"10.77.0.0/255.255.255.0" is not an IPv4 subnet',
            "write 10.77.0.0/24",
        ),
        (
            InterfaceAddress,
            "10.77.0.11",
            '"10.77.0.11" is not an IPv4 address with its prefix length',
            "add the prefix length, for example 10.77.0.11/24",
        ),
        (
            Range,
            "10.77.0.100",
            '"10.77.0.100" is not a range of addresses',
            "for example 10.77.0.100-10.77.0.199",
        ),
        (
            Range,
            "10.77.0.9-10.77.0.1",
            '"10.77.0.9-10.77.0.1" ends before it begins',
            "write 10.77.0.1-10.77.0.9",
        ),
    ],
)
def test_what_is_no_address_is_refused(kind: object, written: str, message: str, hint: str) -> None:
    assert refusal(kind, written) == (message, hint)


@given(st.ip_addresses(v=4), st.integers(min_value=0, max_value=32))
def test_every_address_with_a_prefix_reads_as_the_standard_library_reads_it(
    address: IPv4Address, prefix: int
) -> None:
    text = f"{address}/{prefix}"
    assert reader(InterfaceAddress)(text) == IPv4Interface(text)


def test_whole_numbers_are_labels_and_run_tokens_as_they_are_written() -> None:
    assert reader(Labels)({"rack": 7, "role": "compute"}) == {"rack": "7", "role": "compute"}
    assert reader(RunToken)(1) == "1"
    assert reader(RunToken)("2026-11") == "2026-11"


@pytest.mark.parametrize("value", [True, 1.1, None, (), {}])
def test_other_values_are_no_labels_and_no_run_tokens(value: object) -> None:
    for kind, written in ((Labels, {"a": value}), (RunToken, value)):
        with pytest.raises(ValidationError) as caught:
            reader(kind)(written)
        assert [error["type"] for error in caught.value.errors()] == ["string_type"]


def test_negative_numbers_and_odd_words_are_no_run_tokens() -> None:
    assert refusal(RunToken, -1)[0] == '"-1" is not a run token'
    assert refusal(RunToken, "a b")[0] == '"a b" is not a run token'


def test_text_for_people_is_printable() -> None:
    assert reader(Line)("Debian 12 — golden") == "Debian 12 — golden"
    assert refusal(Line, "a\nb")[0] == '"a\\nb" has characters that cannot be shown'
    assert refusal(Line, "\x1b[2J")[0] == '"\\u001b[2J" has characters that cannot be shown'
    assert refusal(HardwareText, " 5CG8") == (
        '" 5CG8" begins or ends with a space',
        "remove the space",
    )


@pytest.mark.parametrize(
    "written", ["none", "last", 3, "999", "vg0/root", "ubuntu-vg/ubuntu-lv", "a.b/.c", "+/_"]
)
def test_what_grows_is_a_partition_or_a_volume_and_agents_understand_it(written: str | int) -> None:
    grow = reader(GrownPartition)(written)
    assert grow == str(written)
    disk = DiskIdentity("", "S", "", 1)
    assert Restore("golden", "a" * 64, disk, grow).grow == grow


@given(st.from_regex(r"[A-Za-z0-9+_.-]{0,130}/[A-Za-z0-9+_.-]{0,130}", fullmatch=True))
def test_agents_understand_every_volume_that_a_document_may_name(written: str) -> None:
    try:
        grow = reader(GrownPartition)(written)
    except ValidationError:
        return
    assert Restore("golden", "a" * 64, DiskIdentity("", "S", "", 1), grow).grow == written


@pytest.mark.parametrize(
    "written",
    [
        *("", "first", 0, 1000, "03", "-1", "root", "/root", "vg0/", "vg0/root/x", "vg0/-root"),
        *("vg0/..", "./root", "vg 0/root", "vg0/root\n", "vg0/" + "x" * 128, "/dev/vg0/root"),
    ],
)
def test_other_things_do_not_grow(written: str | int) -> None:
    said, hint = refusal(GrownPartition, written)
    assert said.endswith("is no partition to grow")
    assert hint == (
        "last, the partition's number, such as 3, an LVM volume, such as vg0/root, or none"
    )
