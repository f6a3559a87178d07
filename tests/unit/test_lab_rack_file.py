from pathlib import Path

import pytest

from agent.errors import CodedError
from providers.lab.errors import machine_unknown
from providers.lab.rack import Rack
from providers.lab.rack_file import dump_rack, load_rack, parse_rack

MACHINE = """\
  - name: golden
    firmware: bios
    mac: "52:54:00:77:00:10"
    uuid: 77000000-0000-4000-8000-000000000010
    disk: {size: 3GiB, prepare: debian12, serial: GOLDEN-0010}
"""


def read(text: str) -> Rack:
    return parse_rack(text.encode(), "rack.yaml")


def refusal(text: str) -> str:
    with pytest.raises(CodedError) as caught:
        read(text)
    return str(caught.value)


def test_the_example_has_a_golden_machine_and_a_blank_one():
    rack = load_rack(Path(__file__).parents[2] / "examples/lab/rack.yaml")
    assert str(rack.bridge.address) == "10.77.0.1/24"
    assert [
        (machine.name, machine.mac, machine.uuid, machine.disk.serial, machine.disk.prepare)
        for machine in rack.machines
    ] == [
        (
            *("golden", "52:54:00:77:00:10", "77000000-0000-4000-8000-000000000010"),
            *("GOLDEN-0010", "debian12"),
        ),
        (
            *("node-01", "52:54:00:77:00:11", "77000000-0000-4000-8000-000000000011"),
            *("NODE-0011", "blank"),
        ),
    ]


def test_what_is_not_written_has_a_default():
    (machine,) = read("machines:\n" + MACHINE).machines
    assert (str(machine.memory), machine.cpus) == ("1GiB", 2)
    assert (machine.disk.table, machine.disk.bus) == ("gpt", "virtio")
    assert (machine.link.loss, machine.link.rate) == (None, None)


def test_a_bad_cable_is_read_with_its_units():
    (machine,) = read(f"machines:\n{MACHINE}    link: {{loss: 1.5%, rate: 100Mbit/s}}\n").machines
    assert machine.link.loss == 15
    assert machine.link.rate is not None
    assert machine.link.rate.bits_per_second == 100_000_000


def test_a_saved_rack_is_the_same_rack():
    rack = read(
        f"bridge: {{address: 192.168.5.1/28}}\nmachines:\n{MACHINE}"
        "    memory: 1.5GiB\n    cpus: 4\n    link: {loss: 0.3%, rate: 2.5Gbit/s}\n"
    )
    assert parse_rack(dump_rack(rack), "rack.json") == rack


def test_all_problems_are_named_with_their_places():
    assert (
        refusal(
            "bridge: {address: 10.77.0.0/24}\n"
            "machines:\n"
            "  - name: Golden\n"
            "    firmware: biod\n"
            '    mac: "53:54:00:77:00:10"\n'
            "    memory: 1\n"
            "    link: {loss: 101%, rates: 1kbit/s}\n"
            "    disk: {size: 3GiB, serial: GOLDEN-0010-GOLDEN-0010}\n"
        )
        == """\
RW804: the rack file has 9 problems. Correct it:
  rack.yaml:1:19: RW128 bridge.address: 10.77.0.0/24 is the address of the network, \
not of the host on it
    hint: for example 10.77.0.1/24
  rack.yaml:3:5: RW125 machines[0]: "uuid" is missing
    hint: add uuid: 77000000-0000-4000-8000-000000000011 (Its SMBIOS system UUID)
  rack.yaml:3:11: RW128 machines[0].name: "Golden" is not a machine name
    hint: write golden
  rack.yaml:4:15: RW128 machines[0].firmware: must be one of bios, uefi, uefi-secure-boot, \
not "biod"
    hint: did you mean "bios"?
  rack.yaml:5:10: RW128 machines[0].mac: 53:54:00:77:00:10 is a multicast address, \
no machine's own
    hint: the second digit of a machine's address is even
  rack.yaml:6:13: RW128 machines[0].memory: the number 1 has no unit
    hint: for example 1.5TiB; units are B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB
  rack.yaml:7:18: RW128 machines[0].link.loss: "101%" is more than all of them
    hint: write at most 100%
  rack.yaml:7:24: RW124 machines[0].link: unknown field "rates"
    hint: did you mean "rate"?
  rack.yaml:8:32: RW128 machines[0].disk.serial: must have at most 20 characters, \
not 23
    hint: Up to 20 letters, digits and . _ -."""
    )


def test_two_machines_cannot_share_an_identity():
    second = MACHINE.replace("name: golden", "name: node-01")
    assert (
        refusal(f"machines:\n{MACHINE}{second}")
        == """\
RW804: the rack file has 3 problems. Correct it:
  rack.yaml:9:10: RW142 machines[1].mac: 52:54:00:77:00:10 is already that of machines[0]
    hint: give every machine its own
  rack.yaml:10:11: RW142 machines[1].uuid: 77000000-0000-4000-8000-000000000010 \
is already that of machines[0]
    hint: give every machine its own
  rack.yaml:11:51: RW142 machines[1].disk.serial: GOLDEN-0010 is already that of machines[0]
    hint: give every machine its own."""
    )


def test_a_machine_has_the_disks_that_are_written_each_with_a_serial_of_its_own():
    more = "    moreDisks: [{size: 1GiB, serial: DATA, bus: nvme}]\n"
    (machine,) = read(f"machines:\n{MACHINE}{more}").machines
    assert [(disk.serial, disk.bus) for disk in machine.disks] == [
        ("GOLDEN-0010", "virtio"),
        ("DATA", "nvme"),
    ]
    assert (
        "rack.yaml:7:38: RW142 machines[0].moreDisks[0].serial: "
        "GOLDEN-0010 is already that of machines[0]\n"
    ) in refusal(f"machines:\n{MACHINE}{more.replace('DATA', 'GOLDEN-0010')}")


def test_one_machine_cannot_be_there_twice():
    text = MACHINE.replace("- name", "- &it\n    name")
    assert "machines[1].name: golden is already that of machines[0]" in refusal(
        f"machines:\n{text}  - *it\n"
    )


@pytest.mark.parametrize(
    ("line", "changed", "place", "problem", "hint"),
    [
        (
            *("size: 3GiB", "size: 500MiB", "6:18"),
            "disk.size: a debian12 disk of 500MiB is too small",
            "write at least 1GiB",
        ),
        (
            *("firmware: bios", "memory: 100MiB\n    firmware: bios", "3:13"),
            "memory: a machine cannot have 100MiB of memory",
            "write whole MiB, at least 128MiB",
        ),
        (
            *("firmware: bios", "cpus: 65\n    firmware: bios", "3:11"),
            "cpus: must be at most 64, not 65",
            "Its processors, 1 to 64.",
        ),
    ],
)
def test_a_machine_has_limits(line, changed, place, problem, hint):
    expected = f"  rack.yaml:{place}: RW128 machines[0].{problem}\n    hint: {hint}"
    assert expected in refusal("machines:\n" + MACHINE.replace(line, changed))


def test_uefi_cannot_boot_a_prepared_mbr_disk():
    text = MACHINE.replace("bios", "uefi").replace("serial:", "table: mbr, serial:")
    assert (
        "rack.yaml:6:11: RW128 machines[0].disk: "
        "a debian12 disk with an mbr table does not boot by uefi\n"
        "    hint: write table: gpt, or firmware: bios"
    ) in refusal("machines:\n" + text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "RW804: the rack file has 1 problem. Correct it:\n  rack.yaml: a rack file is one"),
        (
            "machines: []",
            "rack.yaml:1:11: RW128 machines: must not be empty\n    hint: One or more machines.",
        ),
        ("a: b: c", 'rack.yaml:1:5: RW101 a ":" where no new key can begin'),
        ("- 1", "rack.yaml:1:1: RW127"),
        ("machines: [7]", "machines[0]: must be a mapping, not the number 7"),
        (f"machines:\n{MACHINE}---\nmachines: []", "a rack file is one YAML document"),
    ],
)
def test_what_is_no_rack_is_refused(text, problem):
    assert problem in refusal(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CodedError) as caught:
        load_rack(tmp_path / "none.yaml")
    assert str(caught.value) == (
        f"RW804: the rack file {tmp_path}/none.yaml cannot be read: No such file or directory. "
        "Name an existing file with --rack."
    )


def test_an_unknown_machine_gets_the_nearest_names():
    assert str(machine_unknown("goldn", ["golden"])) == (
        "RW805: the rack has no machine 'goldn'. Name one of its machines, such as golden."
    )
