"""What `rackwright inventory`, `status` and `get machine` say of what is installed."""

import asyncio
import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from builders.inventories import InventoryServer, a_package, an_inventory
from builders.world import NOW, a_machine
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from agent.errors import CodedError
from agent.wire.inventory import Application, Package, Update
from reconciler.app import inventory as inventory_app
from reconciler.cli.commands import cli
from reconciler.cli.refusal import refusal
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.inventory_head import InventoryHead
from reconciler.state.inventory_search import all_items
from reconciler.views.inventory_documents import package_url

MACHINE = """\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {name}, labels: {{role: compute}}}}
spec:
  group: lab
  hardware:
    macs: ["52:54:00:77:00:{number:02x}"]
    uuid: 77000000-0000-4000-8000-0000000000{number:02x}
  identity: {{addresses: [10.77.0.{number}/24]}}
  power: {{driver: wake-on-lan}}
"""
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/24, dhcp: {mode: proxy}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: lab}
---
"""
ONE, TWO = a_machine(1), a_machine(2)
NEWER = Update("openssl", "amd64", "3.0.11-1", "3.0.15-1", "stable-security", held=False)


class Place:
    """A repository beside a state directory, and commands on both."""

    def __init__(self, folder: Path) -> None:
        self.fleet, self.state = folder / "fleet", folder / "state"
        self.fleet.mkdir()
        self.write("node-01", "node-02", "node-03")
        self.database = open_database(self.state / "rackwright.db")
        self.server = InventoryServer(self.database)

    def write(self, *names: str) -> None:
        machines = (MACHINE.format(name=name, number=n) for n, name in enumerate(names, 1))
        (self.fleet / "fleet.yaml").write_text(FLEET + "---\n".join(machines), "utf-8")

    def run(self, *arguments: str, code: int = 0) -> str:
        options = ["--repo", str(self.fleet), "--state", str(self.state)]
        done = CliRunner().invoke(cli, [*arguments, *options], standalone_mode=False)
        if isinstance(done.exception, CodedError):
            assert code == 1
            return refusal(done.exception)
        assert (done.exception, done.return_value or 0) == (None, code), done.output
        return done.output


@pytest.fixture
def place(tmp_path: Path):
    found = Place(tmp_path)
    found.server.says(
        ONE,
        an_inventory(
            a_package("openssl", "3.0.11-1"),
            a_package("libssl3", "3.0.11-1", source="openssl"),
            a_package("bash", "1:5.2-1"),
            updates=[NEWER],
            restart=["kernel 6.1.0-30-amd64 is installed"],
        ),
    )
    found.server.says(TWO, an_inventory(a_package("openssl", "3.0.15-1")))
    yield found
    found.database.close()


def test_a_search_says_machine_version_source_package_and_how_old_that_is(place: Place) -> None:
    text = place.run("inventory", "search", "*ssl* < 3.0.14")
    rows = [line.split() for line in text.splitlines() if line.startswith(" node-")]
    assert [row[:6] for row in rows] == [
        ["node-01", "libssl3", "3.0.11-1", "amd64", "openssl", "3.0.11-1"],
        ["node-01", "openssl", "3.0.11-1", "amd64", "openssl", "3.0.11-1"],
    ]
    assert "1 of 2 machine(s) with an inventory" in text
    assert "of 1 machine(s) nothing is known" in text


def test_a_search_that_finds_nothing_ends_with_1(place: Place) -> None:
    assert "node-" not in place.run("inventory", "search", "openssl > 4", code=1)
    assert "node-" not in place.run("inventory", "search", "open", code=1)


def test_a_search_can_be_of_some_machines_and_for_programs(place: Place) -> None:
    options = ("--format", "json", "--on", "name=node-02")
    found = json.loads(place.run("inventory", "search", "OPENSSL", *options))
    assert found == {
        "found": [
            {
                "machine": "node-02",
                "displayName": "",
                "at": "2026-11-29T08:00:00+00:00",
                "kind": "deb",
                "name": "openssl",
                "architecture": "amd64",
                "version": "3.0.15-1",
                "source": "openssl",
                "sourceVersion": "3.0.15-1",
                "origin": "",
                "format": "deb",
            }
        ],
        "machines": 1,
        "withoutInventory": 0,
    }
    assert "no machine matches" in place.run("inventory", "search", "x", "--on", "name=no", code=1)


def test_a_bracket_in_a_name_is_a_bracket(place: Place) -> None:
    program = Application("Tool [beta]", "2.1", "Maker", "", "x64")
    place.server.says(TWO, {**an_inventory(), "applications": (program,)})
    assert "2.1" in place.run("inventory", "search", "tool [beta] >= 2")
    place.run("inventory", "search", "tool [abet]", code=1)


def test_a_renamed_machine_keeps_its_inventory_and_one_that_lost_its_document_is_not_shown(
    place: Place,
) -> None:
    place.write("renamed")
    text = place.run("inventory", "search", "openssl")
    assert [line.split()[0] for line in text.splitlines() if "amd64" in line] == ["renamed"]


def test_hardware_that_is_known_by_more_than_before_has_one_inventory(place: Place) -> None:
    more = replace(ONE, uuid="88000000-0000-4000-8000-000000000001")
    assert more.hardware_identity != ONE.hardware_identity
    formerly = replace(more, formerly=ONE.hardware_identities)
    place.server.says(formerly, an_inventory(a_package("dash")))
    heads = place.server.inventories.heads()
    owners = [FleetHardware([formerly]).owner(head.identities) for head in heads]
    assert owners.count("node-01") == 1


def test_one_machine_is_shown_with_what_is_pending(place: Place) -> None:
    text = place.run("inventory", "show", "node-01")
    assert "waits for a restart: kernel 6.1.0-30-amd64 is installed" in text
    assert "3 packages" in text
    assert "bash" not in text
    assert ["openssl", "amd64", "3.0.11-1", "3.0.15-1", "stable-security"] in [
        line.split() for line in text.splitlines()
    ]
    assert "1:5.2-1" in place.run("inventory", "show", "node-01", "--full")
    document = json.loads(place.run("inventory", "show", "node-01", "--format", "json"))
    assert document["system"]["osId"] == "debian"
    assert document["users"] is None, "nothing was said of users"
    assert document["reboot"] == [{"reason": "kernel 6.1.0-30-amd64 is installed"}]


def test_a_machine_without_an_inventory_says_so(place: Place) -> None:
    assert "RW253: no inventory of node-03 was received" in place.run(
        "inventory", "show", "node-03", code=1
    )


def test_status_and_get_machine_say_what_is_pending(place: Place) -> None:
    text = place.run("status", code=1)
    line = "updates pending on 1 · waiting for a restart 1 · without an inventory 1"
    assert line in text
    document = json.loads(place.run("status", "--format", "json", code=1))
    assert [each["inventory"] for each in document["machines"]] == [
        {
            "at": "2026-11-29T08:00:00+00:00",
            "os": "Debian GNU/Linux 12 (bookworm)",
            "osId": "debian",
            "osVersion": "12",
            "packages": 3,
            "updates": 1,
            "restartPending": True,
        },
        {
            "at": "2026-11-29T08:00:00+00:00",
            "os": "Debian GNU/Linux 12 (bookworm)",
            "osId": "debian",
            "osVersion": "12",
            "packages": 1,
            "updates": 0,
            "restartPending": False,
        },
        None,
    ]
    text = place.run("get", "machine", "node-01")
    assert "Debian GNU/Linux 12 (bookworm), 1 update, waits for a restart, inventory of" in text


def test_csv_is_safe_for_spreadsheets(place: Place) -> None:
    evil = Package("=HYPERLINK(0)", "amd64", "1.0", "@x", "+1", "-o", "deb")
    place.server.says(TWO, an_inventory(evil))
    rows = list(csv.reader(StringIO(place.run("inventory", "export", "--on", "node-02"))))
    assert [cell[:2] for cell in rows[1][4:10]] == ["'=", "am", "'1", "'@", "'+", "'-"]
    assert rows[0][:6] == ["machine", "display name", "system", "section", "name", "architecture"]
    assert len(rows) == 2


def test_of_many_machines_the_same_is_written_as_of_few(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [place.run("inventory", "export", "--format", each) for each in ("csv", "json")]
    monkeypatch.setattr(inventory_app, "_FEW", 0)
    many = [place.run("inventory", "export", "--format", each) for each in ("csv", "json")]
    assert many == few
    machines = json.loads(many[1])["machines"]
    assert [len(each["packages"]) for each in machines] == [3, 1]


def test_a_bill_of_materials_is_valid_cyclonedx(place: Place, tmp_path: Path) -> None:
    program = Application("Tool", "2.1", "Maker", "", "x64")
    place.server.says(TWO, {**an_inventory(a_package("bash")), "applications": (program,)})
    path = tmp_path / "fleet.cdx.json"
    place.run("inventory", "export", "--format", "cyclonedx", "--out", str(path))
    text = path.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    machine = bom["components"][0]
    urls = [each.get("purl") for each in machine["components"]]
    assert urls == [
        None,
        "pkg:deb/debian/bash@1:5.2-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/openssl@3.0.11-1?arch=amd64&distro=debian-12",
    ]
    references = [part["bom-ref"] for each in bom["components"] for part in each["components"]]
    assert len(references) == len(set(references)) == 7


@pytest.mark.parametrize(
    ("os_id", "os_version", "package"),
    [
        ("debian", "12", a_package("libstdc++6", "12.2.0-14+deb12u1")),
        ("debian", "12", a_package("vim", "2:9.0~rc1-1")),
        ("rhel", "9.4", a_package("curl", "1:7.76.1-29.el9_4", "rpm")),
        ("opensuse-leap", "15.6", a_package("a^b", "1", "rpm")),
        ("", "", a_package("bash", "5")),
    ],
)
def test_a_package_url_is_what_the_reference_library_reads(
    os_id: str, os_version: str, package: Package
) -> None:
    head = InventoryHead("h", ("h",), "m", NOW, os_id, os_version, "", 1, 0, restart=False)
    row = (package.name, "amd64", package.version, "", "", "", package.format)
    url = package_url(head, row)
    read = PackageURL.from_string(url)
    assert read.to_string() == url
    epoch = read.qualifiers.get("epoch", "")
    version = f"{epoch}:{read.version}" if epoch else read.version
    assert (read.type, read.namespace or "", read.name, version) == (
        package.format,
        os_id,
        package.name,
        package.version,
    )
    assert read.qualifiers["arch"] == "amd64"


def test_what_no_machine_has_any_more_is_removed(place: Place) -> None:
    def names() -> list[str]:
        return sorted(str(item.row[0]) for item in all_items(place.database).values())

    assert names() == ["bash", "libssl3", "openssl", "openssl"]
    place.server.says(ONE, an_inventory(a_package("bash", "1:5.2-1")))
    assert asyncio.run(place.server.keeper.prune()) == 2
    assert names() == ["bash", "openssl"]
    assert asyncio.run(place.server.keeper.prune()) == 0
    assert "1:5.2-1" in place.run("inventory", "search", "bash")
