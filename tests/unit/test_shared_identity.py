"""What two installed systems both call their own is found, and said of both."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from sqlite3 import connect

import pytest
from attrs import evolve
from builders.world import NOW, a_fleet, a_machine, a_report, an_installed_system
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reconciler.app import shared_identity as module
from reconciler.app.machine_details import machine_details
from reconciler.app.machine_selection import MachineFilter
from reconciler.app.project import Project, utc_now
from reconciler.app.status import fleet_status
from reconciler.cli.status import status
from reconciler.planning.shared_identity import SharedIdentity, sentences, shared_identities
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.machines import Machines
from reconciler.state.reported_identities import Identity, ReportedIdentities, ReportedIdentity

KEY, OTHER_KEY = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43
HEAD = """\
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
apiVersion: rackwright/v1alpha1
kind: MachineTable
metadata: {name: row1}
spec:
  defaults: {group: lab}
  rows:
"""


class Site:
    """A repository outside Git beside a state directory, and what its systems report."""

    def __init__(self, folder, count=3):
        self.folder = folder
        (folder / "fleet").mkdir()
        rows = [
            f'    - {{name: node-{number:02}, macs: ["52:54:00:77:00:{number:02x}"]}}\n'
            for number in range(1, count + 1)
        ]
        (folder / "fleet" / "fleet.yaml").write_text(HEAD + "".join(rows), "utf-8")
        self.database = open_database(folder / "state" / "rackwright.db")
        self.machines = Machines(self.database)

    @property
    def project(self):
        return Project(str(self.folder / "fleet"), None, self.folder / "state")

    def says(self, number, at=NOW, hardware=None, **system):
        """Have an agent report; what is not said is its own."""
        machine = hardware or a_machine(number, uuid="")
        own = {
            "machine_id": f"{number:032x}",
            "ssh_host_keys": (f"SHA256:{number:043}",),
            "addresses": (f"10.77.0.{number}/24", "172.17.0.1/16"),
        }
        said = evolve(an_installed_system(machine, ""), **{**own, **system})
        self.machines.record_report(machine, a_report(machine, installed=said), at)

    def states(self, now=NOW, *conditions):
        found = fleet_status(self.project, MachineFilter(), conditions, now)
        return {each.machine: (each.condition, each.reason) for each in found.machines}


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.database.close()


def test_systems_with_identities_of_their_own_are_ready(site):
    for number in (1, 2, 3):
        site.says(number)
    assert {condition for condition, _ in site.states().values()} == {"Ready"}


COPIES = "their disks are copies of one image; restore one of them with `identity: apply`, or"


@pytest.mark.parametrize(
    ("said", "what", "action"),
    [
        (
            {"ssh_host_keys": (KEY,)},
            f"SSH host key {KEY}",
            f"{COPIES} remove /etc/ssh/ssh_host_*_key* there and say `ssh-keygen -A`",
        ),
        (
            {"machine_id": "f" * 32},
            f"machine-id {'f' * 32}",
            f"{COPIES} remove /etc/machine-id there, say `systemd-machine-id-setup` and restart it",
        ),
        ({"hostname": "Web"}, "host name web", "give one of them another"),
        ({"addresses": ("10.77.0.99/24",)}, "address 10.77.0.99", "take it from one of them"),
    ],
    ids=["SSH host key", "machine-id", "host name", "address"],
)
def test_what_two_systems_share_is_said_of_both_and_of_no_other(site, said, what, action):
    site.says(1, **said)
    site.says(2, **said)
    site.says(3)
    states = site.states()
    assert states["node-01"] == ("Stalled", f"has the {what} of node-02 too: {action}")
    assert states["node-02"] == ("Stalled", f"has the {what} of node-01 too: {action}")
    assert states["node-03"][0] == "Ready"
    details = machine_details(site.project, "node-01", NOW).condition
    assert (details.condition, details.reason) == states["node-01"]
    assert [(each.type, each.since) for each in details.further] == [("Duplicate", NOW)]


def test_all_that_a_copied_disk_has_in_common_is_said_at_once(site):
    for number in (1, 2):
        site.says(number, ssh_host_keys=(KEY, OTHER_KEY), machine_id="f" * 32)
    _, reason = site.states()["node-01"]
    assert f"has the SSH host keys {KEY} and 1 more of node-02 too" in reason
    assert f"has the machine-id {'f' * 32} of node-02 too" in reason


def test_of_many_that_share_it_a_few_are_named():
    machines = tuple(f"node-{number:05}" for number in range(20_000))
    shared = SharedIdentity(Identity("host-name", "web"), machines, NOW)
    (said,) = sentences("node-00001", [shared])
    assert said == (
        "has the host name web of node-00000, node-00002, node-00003 and 19,996 more machines "
        "too: give one of them another"
    )


def test_addresses_that_the_repository_does_not_know_are_everybodys(site):
    bridge = ("172.17.0.1/16", "192.168.122.1/24", "fd00::1/64")
    site.says(1, addresses=("10.77.0.1/24", *bridge))
    site.says(2, addresses=("10.77.0.2/24", *bridge))
    assert {condition for condition, _ in site.states().values()} == {"Ready", "Unknown"}


def test_it_is_over_once_one_of_them_reports_another_key(site):
    site.says(1, ssh_host_keys=(KEY,))
    site.says(2, ssh_host_keys=(KEY,))
    assert site.states()["node-01"][0] == "Stalled"
    site.says(2, NOW + timedelta(minutes=1), ssh_host_keys=(OTHER_KEY,))
    assert site.states()["node-01"][0] == site.states()["node-02"][0] == "Ready"


def test_a_report_that_is_too_old_says_nothing(site):
    site.says(1, NOW - timedelta(hours=2), ssh_host_keys=(KEY,))
    site.says(2, ssh_host_keys=(KEY,))
    assert site.states()["node-02"][0] == "Ready"
    assert site.states()["node-01"][0] == "Unknown"


def test_it_began_when_the_second_one_began_to_say_it(site):
    for at in (NOW - timedelta(minutes=30), NOW):
        site.says(1, at, ssh_host_keys=(KEY,))
    for at in (NOW - timedelta(minutes=20), NOW):
        site.says(2, at, ssh_host_keys=(KEY,))
    (further,) = machine_details(site.project, "node-01", NOW).condition.further
    assert further.since == NOW - timedelta(minutes=20)


def test_one_machine_shares_nothing_with_itself_nor_with_hardware_that_left(site):
    nic = replace(a_machine(1, uuid=""), macs=("52:54:00:77:00:01", "52:54:00:99:00:01"))
    site.says(1, hardware=replace(nic, macs=nic.macs[::-1]), ssh_host_keys=(KEY,))
    site.says(1, hardware=nic, ssh_host_keys=(KEY,))
    site.says(9, ssh_host_keys=(KEY,))
    assert site.states()["node-01"][0] == "Ready"


def test_what_an_older_agent_does_not_say_is_not_compared(site):
    for number in (1, 2):
        site.says(number, ssh_host_keys=(), machine_id="", hostname="")
    assert site.states()["node-01"][0] == site.states()["node-02"][0] == "Ready"


def test_of_the_whole_fleet_the_same_is_found_as_of_a_few(site, monkeypatch):
    site.says(1, ssh_host_keys=(KEY,), hostname="web")
    site.says(2, ssh_host_keys=(KEY,))
    site.says(3, hostname="web")
    few = site.states()
    assert [condition for condition, _ in few.values()] == ["Stalled"] * 3
    monkeypatch.setattr(module, "FEW", 0)
    assert site.states() == few


def test_status_counts_and_selects_them(site):
    now = utc_now()
    site.says(1, now, ssh_host_keys=(KEY,))
    site.says(2, now, ssh_host_keys=(KEY,))
    options = ["--repo", str(site.folder / "fleet"), "--state", str(site.folder / "state")]

    def asked(*more):
        arguments = [*options, "--condition", "duplicate", *more]
        return CliRunner().invoke(status, arguments, standalone_mode=False, catch_exceptions=False)

    assert asked().output.splitlines()[:2] == [
        "3 machines · Ready 0 · Reconciling 0 · Stalled 2 · Unknown 1",
        "also: Duplicate 2",
    ]
    document = json.loads(asked("--format", "json").stdout)
    assert document["further"] == {"Drifted": 0, "Duplicate": 2, "Unhealthy": 0}
    assert [each["machine"] for each in document["machines"]] == ["node-01", "node-02"]
    assert [each["type"] for each in document["machines"][0]["further"]] == ["Duplicate"]


keys = st.sampled_from(["host-name a", "host-name b", "machine-id c", "ssh-host-key d"])


@given(st.lists(st.tuples(st.integers(1, 5), keys), max_size=30))
def test_sharing_is_mutual_and_nobody_shares_alone(said):
    machines = [a_machine(number) for number in range(1, 6)]
    fleet_of = {machine.name: machine for machine in machines}
    reported = [
        ReportedIdentity(
            Identity(*key.split(" ")), fleet_of[f"node-{number:02}"].hardware_identities, NOW, NOW
        )
        for number, key in said
    ]
    fleet = a_fleet(*machines)
    found = shared_identities(fleet, FleetHardware(machines), reported, NOW)
    for name, shared in found.items():
        for each in shared:
            assert name in each.machines
            assert len(each.machines) > 1
            assert all(each in found[other] for other in each.machines)


def test_a_database_of_before_knows_what_was_reported_then(site):
    site.says(1, ssh_host_keys=(KEY,))
    site.database.close()
    with closing(connect(site.folder / "state" / "rackwright.db")) as old, old:
        old.execute("DROP TABLE reported_identity")
        old.execute("ALTER TABLE machine_observation DROP COLUMN installed_since")
        tables = ("delay", "breaker_event", "rollout_event", "rollout_machine", "rollout")
        tables += ("package_source", "source_package", "reboot_lock")
        tables += (
            "image_event",
            "image_store",
            "image_scrub",
            "image_check",
            "agent_join",
            "join_token_end",
            "join_token",
            "discovered_machine",
        )
        for table in (*tables, "inventory_section", "inventory_item", "inventory"):
            old.execute(f"DROP TABLE {table}")
        for table in ("certificate", "revocation", "return", "exchange"):
            old.execute(f"DROP TABLE agent_{table}")
        old.execute("DROP TABLE authority_event")
        for table in ("state", "result", "notice"):
            old.execute(f"DROP TABLE update_{table}")
        for table, column in (
            ("work_begun", "scenario"),
            ("work_begun", "kind"),
            ("current_operation", "may_interrupt"),
            ("current_operation", "trigger"),
            ("current_operation", "not_before"),
            ("schedule_machine", "identities"),
            ("step", "result"),
            ("enrollment_token", "used_from"),
            ("enrollment_token", "sent_to"),
            ("boot_event", "relay"),
        ):
            old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        old.execute("UPDATE alembic_version SET version_num = '0011'")
    migrated = open_database(site.folder / "state" / "rackwright.db")
    known = ReportedIdentities(migrated).of_hardware(a_machine(1, uuid="").hardware_identities)
    migrated.close()
    assert known == (
        Identity("address", "10.77.0.1"),
        Identity("address", "172.17.0.1"),
        Identity("host-name", "node-01"),
        Identity("machine-id", f"{1:032x}"),
        Identity("ssh-host-key", KEY),
    )


def test_a_system_says_the_same_since_it_began_to(site):
    began, later = NOW, NOW + timedelta(minutes=10)
    fleet = site.project.fleet
    hardware, node = FleetHardware(fleet.machines.values()), fleet.machines["node-01"]

    def since():
        return site.machines.seen(node, hardware, later).installed.since

    site.says(1, began)
    site.says(1, later)
    assert since() == began
    site.says(1, later, hostname="web")
    assert since() == later
