"""What `get machine` shows, as a person reads it.

``RACKWRIGHT_UPDATE_TRANSCRIPTS=1 pytest tests/unit/test_get_machine.py`` writes what is shown
now into ``tests/machines``; look at the pictures too.
"""

import json
import os
import xml.etree.ElementTree as ET
from datetime import timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_image, observed, ramdisk
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.wire.disk import DiskIdentity, Partition
from providers.netboot.decision import BootRequest
from reconciler.app.machine_details import machine_details
from reconciler.app.project import Project
from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.get import get
from reconciler.planning.planner import plan
from reconciler.state.boots import Boots
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.operation_states import OperationState
from reconciler.views.disk_layout import segments, widths
from reconciler.views.disk_svg import disks_svg
from reconciler.views.machine_details import machine_document
from reconciler.views.machine_text import machine_parts

FOLDER = Path(__file__).parents[1] / "machines"
UPDATE = bool(os.environ.get("RACKWRIGHT_UPDATE_TRANSCRIPTS"))
GIB, MIB = 1 << 30, 1 << 20
_S = OperationState
DOCUMENTS = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/24, dhcp: {mode: proxy}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: lab, labels: {site: tokyo}}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-01, labels: {role: compute}}
spec:
  group: lab
  hardware: {macs: ["52:54:00:77:00:01"], uuid: 77000000-0000-4000-8000-000000000001}
  identity: {addresses: [10.77.0.1/24]}
  power: {driver: wake-on-lan}
"""
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
EFI = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
RESERVED = "e3c9e316-0b5c-4db8-817d-f92df00215ae"
DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
RECOVERY = "de94bba4-06d1-4d40-a16a-bfd50179d6ac"


def parts(*described):
    """Return partitions one after another: (bytes, type, file system, label)."""
    start, found = MIB, []
    for number, (size, type_, filesystem, label) in enumerate(described, 1):
        found.append(Partition(number, start, size, type_, f"u{number}", filesystem, label))
        start += size
    return tuple(found)


WINDOWS = a_disk(
    identity=DiskIdentity("0x5002538f00000001", "S6ESNX0T100001", "pci-0000:00:17.0", 480 * 10**9),
    node="/dev/sda",
    model="SAMSUNG MZ7L3480",
    table="gpt",
    partitions=parts(
        (100 * MIB, EFI, "vfat", ""),
        (16 * MIB, RESERVED, "", ""),
        (240 * GIB, DATA, "ntfs", "Windows"),
        (750 * MIB, RECOVERY, "ntfs", ""),
    ),
    holds="gpt, 4 partitions: vfat, Microsoft reserved, ntfs, ntfs",
)
LINUX_DISK = a_disk(
    identity=DiskIdentity("", "NODE-0001", "pci-0000:00:03.0", 4 * GIB),
    node="/dev/vda",
    model="",
    table="gpt",
    sector_size=4096,
    partitions=parts((64 * MIB, EFI, "vfat", "ESP"), (3 * GIB, LINUX, "ext4", "root")),
    holds="gpt, 2 partitions: vfat, ext4",
)
HOSTILE = evolve(
    LINUX_DISK,
    model="</text><script>alert(1)</script>[/dev/sda]",
    identity=DiskIdentity("", "\x1b]0;owned\x07\u202e", "", 4 * GIB),
    partitions=parts((GIB, "</svg>", "[bold]ext4", "&lt;\x00\ufffe")),
    holds="[link=http://x]y[/link]",
)


class Place:
    """A repository outside Git beside a state directory."""

    def __init__(self, folder):
        self.fleet, self.state = folder / "fleet", folder / "state"
        self.fleet.mkdir()
        (self.fleet / "fleet.yaml").write_text(DOCUMENTS, "utf-8")
        self.machine = a_machine(1, "clone-golden")
        self.database = open_database(self.state / "rackwright.db")
        self.boots = Boots(self.database)
        self.machines = Machines(self.database)
        self.ledger = Ledger(self.database)

    def details(self):
        self.database.close()
        return machine_details(Project(str(self.fleet), None, self.state), "node-01", NOW)

    def saw(self, *disks, ago=timedelta(minutes=3)):
        report = a_report(self.machine, *disks)
        hardware = evolve(report.hardware, vendor="NEC", product="Express5800/R120", serial="J1")
        self.machines.record_report(self.machine, evolve(report, hardware=hardware), NOW - ago)

    def booted(self, count=1):
        for number in range(count):
            request = BootRequest(
                mac=self.machine.macs[0],
                uuid=self.machine.uuid,
                arch=7,
                route="dhcp",
                source="0.0.0.0",  # noqa: S104 - a client without an address
                detail=f"DISCOVER, xid {number:08x}, UEFI x64",
            )
            at = NOW - timedelta(minutes=30) + timedelta(seconds=number)
            self.boots.record(request, at, known=True, answer="local disk: no grant")
        self.boots.write()

    def worked(self, *states, reason="because"):
        world = observed({"node-01": ramdisk(self.machine, a_disk())}, (an_image(),))
        operation = plan(a_fleet(self.machine), world, NOW).items[0].operation
        self.ledger.plan(operation, NOW - timedelta(minutes=20), "ada")
        for number, (before, after) in enumerate(pairwise((_S.PLANNED, *states)), 1):
            self.ledger.move(
                operation.op_id,
                before,
                after,
                attempt=1,
                at=NOW - timedelta(minutes=20 - 4 * number),
                actor="ada" if after is _S.APPROVED else "server",
                reason=reason,
            )


def never_seen(place):
    del place


def a_windows_machine_and_its_data_disk(place):
    place.saw(WINDOWS, LINUX_DISK, a_disk("BLANK-1", 2 * GIB))
    place.booted(20)


def a_restore_of_unknown_outcome(place):
    place.saw(LINUX_DISK)
    place.worked(
        _S.APPROVED, _S.ARMED, _S.STARTED, _S.INDETERMINATE, reason="RW613: nothing was heard."
    )
    place.machines.set_quarantine(
        "node-01", place.machine.hardware_identities, "a token was used twice", NOW
    )


def text_that_would_steer(place):
    place.saw(HOSTILE)
    place.worked(_S.APPROVED, _S.ARMED, _S.FAILED, reason="[/dev/sda] \x1b[31mfailed")


CASES = (
    never_seen,
    a_windows_machine_and_its_data_disk,
    a_restore_of_unknown_outcome,
    text_that_would_steer,
)


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.database.close()


def printed(details, width, *, full=False):
    screen = Console(file=StringIO(), width=width, color_system=None, highlight=False)
    for part in machine_parts(details, NOW, width, full=full):
        screen.print(part)
    return "".join(f"{line.rstrip()}\n" for line in screen.file.getvalue().split("\n")).rstrip("\n")


def picture(details):
    report = details.seen.disks
    disks = report.report.disks if report else ()
    return disks_svg(details.name, disks, report.at if report else None)


def check(path, text):
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.exists(), f"write it with RACKWRIGHT_UPDATE_TRANSCRIPTS=1: {path}"
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.replace("_", "-"))
def test_a_machine_reads_as_it_was_reviewed(case, place):
    case(place)
    details = place.details()
    folder = FOLDER / case.__name__.replace("_", "-")
    for width in (80, 140):
        text = printed(details, width)
        check(folder / f"machine.{width}.txt", text + "\n")
        assert all(line.isprintable() for line in text.split("\n"))
        assert max(map(len, text.split("\n"))) <= width
    check(folder / "disks.svg", picture(details))
    document = json.dumps(machine_document(details, NOW), indent=2)
    check(folder / "machine.json", document.encode("utf-8", "replace").decode() + "\n")


def test_no_transcript_is_a_leftover():
    wanted = {case.__name__.replace("_", "-") for case in CASES}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_all_that_is_kept_is_shown_when_it_is_asked_for(place):
    place.booted(20)
    details = place.details()
    assert "and 5 earlier: --full" in printed(details, 140)
    assert printed(details, 140, full=True).count("DISCOVER") == 20


# --- the picture ------------------------------------------------------------------------


@pytest.mark.parametrize("disk", [WINDOWS, LINUX_DISK, HOSTILE, a_disk()])
def test_a_picture_is_xml_with_a_title_and_a_description(disk):
    root = ET.fromstring(disks_svg("node-01", (disk,), NOW))  # noqa: S314 - of our own
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == "Disks of node-01"
    assert root.find(f"{space}desc").text
    assert root.get("aria-labelledby") == "title description"
    assert {each.tag for each in root} <= {
        f"{space}{name}" for name in ("title", "desc", "style", "rect", "text")
    }


@pytest.mark.parametrize(
    ("disk", "label"),
    [
        (a_disk(), "free"),
        (a_disk(holds="unreadable"), "unreadable"),
        (a_disk(holds="ext4"), "ext4"),
        (a_disk(holds=""), "unknown"),
    ],
)
def test_what_is_not_known_to_be_free_is_not_called_so(disk, label):
    root = ET.fromstring(disks_svg("node-01", (disk,), NOW))  # noqa: S314 - of our own
    assert [each.text for each in root if each.get("text-anchor") == "middle"] == [label]


def test_a_table_that_could_not_be_read_is_not_called_absent(place):
    place.saw(a_disk(holds="unreadable"))
    details = place.details()
    for text in (printed(details, 140), picture(details)):
        assert "partition table unknown" in text
        assert "no partition table" not in text


def test_partitions_are_drawn_to_scale():
    root = ET.fromstring(disks_svg("node-01", (LINUX_DISK,), NOW))  # noqa: S314 - of our own
    bars = [each for each in root if each.get("class") in {"part", "free"}]
    drawn = [int(each.get("width")) for each in bars]
    assert sum(drawn) == 912
    sizes = [part.size for part in segments(LINUX_DISK)]
    for width, size in zip(drawn, sizes, strict=True):
        assert abs(width - 912 * size / sum(sizes)) <= 7 * len(sizes)


texts = st.text(max_size=20)
partitions = st.builds(
    Partition,
    number=st.integers(0, 200),
    start=st.integers(0, 1 << 50),
    size=st.integers(0, 1 << 50),
    type=texts,
    uuid=texts,
    filesystem=texts,
    label=texts,
)


@given(
    size=st.integers(0, 1 << 50),
    found=st.lists(partitions, max_size=130),
    model=texts,
    total=st.integers(0, 1000),
)
def test_whatever_a_machine_says_of_a_disk_can_be_drawn(size, found, model, total):
    disk = a_disk(
        identity=DiskIdentity("", "", "", size), model=model, partitions=tuple(found), holds=model
    )
    ET.fromstring(disks_svg(model, (disk,), NOW))  # noqa: S314 - of our own
    cut = segments(disk)
    assert all(0 <= part.start <= part.start + part.size <= max(size, part.start) for part in cut)
    assert all(before.start + before.size <= after.start for before, after in pairwise(cut))
    drawn = widths(cut, total, 1)
    assert all(width >= 1 for width in drawn)
    assert not cut or sum(drawn) in {max(total, len(cut)), len(cut)}


# --- the command ------------------------------------------------------------------------


def asked(place, *arguments):
    place.database.close()
    options = ["--repo", str(place.fleet), "--state", str(place.state)]
    return CliRunner().invoke(
        get, [*arguments, *options], standalone_mode=False, catch_exceptions=False
    )


def test_both_ways_to_name_a_machine_are_understood(place):
    first = asked(place, "machine", "node-01").output
    assert first.startswith("node-01  Unknown")
    assert asked(place, "machine/node-01").output == first


@pytest.mark.parametrize("arguments", [("node-01",), ("machine",), ("disk", "x"), ("machine/",)])
def test_anything_else_is_answered_with_the_right_way(place, arguments):
    from click import UsageError  # noqa: PLC0415

    with pytest.raises(UsageError, match="write: rackwright get machine"):
        asked(place, *arguments)


def test_an_unknown_machine_is_answered_with_the_nearest(place):
    with pytest.raises(AuthoringError) as caught:
        asked(place, "machine", "node-10")
    assert caught.value.action == "Did you mean machine/node-01?"


def test_the_picture_goes_to_a_file_or_to_the_terminal(place, tmp_path):
    place.saw(WINDOWS)
    shown = asked(place, "machine", "node-01", "--format", "svg").output
    asked(place, "machine", "node-01", "--svg", str(tmp_path / "disks.svg"))
    assert (tmp_path / "disks.svg").read_text("utf-8") == shown
    assert shown.startswith("<svg ")


def test_looking_makes_no_state(tmp_path):
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    (fleet / "fleet.yaml").write_text(DOCUMENTS, "utf-8")
    options = ["--repo", str(fleet), "--state", str(tmp_path / "state")]
    done = CliRunner().invoke(
        get, ["machine", "node-01", *options], standalone_mode=False, catch_exceptions=False
    )
    assert "never observed" in done.output
    assert not (tmp_path / "state" / "rackwright.db").exists()
