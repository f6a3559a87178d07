"""What machines said is kept by their hardware and bounded where anybody may write it."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.failing_server import disk_full
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_installed_system,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import failpoint
from providers.netboot.decision import BootRequest
from reconciler.errors import StateError
from reconciler.state import boots as module
from reconciler.state.boots import Boots
from reconciler.state.database import BRIEF, open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.machines import Machines, Said
from reconciler.state.world import observe, observe_few

NODE = a_machine(1)
BY = ("ada", "", NOW)
"""Who ends a quarantine, why and when."""
OTHER = a_machine(2)
BARE = replace(NODE, uuid="", macs=("52:54:00:77:00:01", "52:54:00:77:00:a1"))


@pytest.fixture
def database(tmp_path):
    database = open_database(tmp_path / "rackwright.db")
    yield database
    database.close()


@pytest.fixture
def observations(database):
    return Machines(database)


@pytest.fixture
def boots(database):
    return Boots(database)


@pytest.fixture
def seen(database):
    """Return what is known of machines, the first of them or by name.

    Whoever looks at one machine sees what whoever looks at the whole fleet sees.
    """

    def look(*machines, name=None):
        found = observe(database, machines, {}, NOW).machines[name or machines[0].name]
        fleet = {machine.name: machine for machine in machines}
        one = fleet[name or machines[0].name]
        hardware = FleetHardware(machines)
        assert Machines(database).seen(one, hardware, NOW) == found
        few = observe_few(database, [one.name], fleet, {}, NOW, hardware)
        assert few.machines == {one.name: found}
        return found

    return look


def boot(mac, *, arch=0, detail="DISCOVER"):
    return BootRequest("dhcp", mac, "", arch, "0.0.0.0", detail)  # noqa: S104


def an_installed_report(machine):
    system = an_installed_system(machine, "f" * 32)
    return a_report(machine, a_disk(), installed=system)


def test_reports_of_both_environments_come_back_as_they_were(observations, seen):
    ramdisk, installed = a_report(NODE, a_disk()), an_installed_report(NODE)
    observations.record_report(NODE, ramdisk, NOW)
    observations.record_report(NODE, installed, NOW + timedelta(seconds=1))
    found = seen(NODE)
    assert (found.ramdisk.report, found.ramdisk.at) == (ramdisk, NOW)
    assert found.installed.report == installed
    assert found.installed.installed == installed.installed
    assert found.disks == found.installed


def test_a_report_of_the_ram_system_proves_no_installed_one(observations, seen):
    observations.record_report(NODE, a_report(NODE), NOW)
    assert seen(NODE).ramdisk.installed is None


def test_the_newest_report_replaces_the_earlier_one(observations, seen):
    observations.record_report(NODE, a_report(NODE, a_disk("old")), NOW)
    observations.record_report(NODE, a_report(NODE, a_disk("new")), NOW + timedelta(minutes=1))
    assert seen(NODE).ramdisk.report.disks == (a_disk("new"),)


@pytest.mark.parametrize(
    "after",
    [
        replace(BARE, uuid=NODE.uuid),
        replace(BARE, macs=BARE.macs[::-1]),
        replace(BARE, name="compute-1"),
        a_machine(9, formerly=(BARE.hardware_identity,)),
    ],
    ids=["uuid added", "macs reordered", "renamed", "board swapped"],
)
def test_everything_known_follows_the_hardware(observations, seen, after):
    observations.record_report(BARE, a_report(BARE, a_disk()), NOW)
    observations.record_contact(BARE, "deploy-os", NOW)
    observations.set_quarantine(BARE.name, BARE.hardware_identities, "alarm", NOW)
    found = seen(after)
    assert found.ramdisk.report.disks == (a_disk(),)
    assert found.ramdisk_contact == NOW
    assert found.quarantine == "alarm"
    assert found.known_as == (BARE.name, NOW)
    assert observations.quarantine(after.name, after.hardware_identities) == "alarm"


def test_what_came_under_the_new_identity_counts_once_it_is_newer(observations, seen):
    later = NOW + timedelta(minutes=1)
    with_uuid = replace(BARE, uuid=NODE.uuid, name="compute-1")
    observations.record_report(BARE, a_report(BARE, a_disk("old")), NOW)
    observations.record_contact(BARE, "deploy-os", NOW)
    observations.record_report(with_uuid, a_report(with_uuid, a_disk("new")), later)
    found = seen(with_uuid)
    assert found.ramdisk.report.disks == (a_disk("new"),)
    assert found.ramdisk_contact == NOW
    assert found.known_as == ("compute-1", later)


def test_the_report_of_a_board_with_another_uuid_is_not_taken_for_the_machines(observations, seen):
    observations.record_report(NODE, a_report(NODE, a_disk()), NOW)
    new_board = replace(NODE, uuid=OTHER.uuid)
    assert seen(new_board).ramdisk is None
    continued = replace(new_board, formerly=(NODE.hardware_identity,))
    assert seen(continued).ramdisk is not None


def test_a_report_that_two_machines_may_have_sent_is_nobodys(observations, seen):
    observations.record_report(BARE, a_report(BARE, a_disk()), NOW)
    one = replace(BARE, macs=BARE.macs[:1])
    two = replace(OTHER, uuid="", macs=(*OTHER.macs, BARE.macs[1]))
    assert seen(one, two).ramdisk is None
    assert seen(one, two, name=two.name).ramdisk is None


def test_a_name_that_went_to_other_hardware_takes_nothing_along(observations, seen):
    observations.record_report(NODE, a_report(NODE), NOW)
    observations.record_contact(NODE, "deploy-os", NOW)
    observations.set_quarantine(NODE.name, NODE.hardware_identities, "alarm", NOW)
    found = seen(replace(OTHER, name=NODE.name))
    assert (found.ramdisk, found.ramdisk_contact, found.quarantine) == (None, None, "")


def test_a_forgotten_contact_leaves_the_reports(observations, seen):
    observations.record_report(NODE, a_report(NODE), NOW)
    observations.record_contact(NODE, "installed", NOW)
    assert seen(NODE).installed_contact == NOW
    observations.forget_contact(NODE)
    assert (seen(NODE).installed_contact, seen(NODE).ramdisk.at) == (None, NOW)


def everything_an_agent_says(machine, at):
    """Return a report of each environment and a contact."""
    installed = an_installed_report(machine)
    said = [
        Said(machine, report.environment, at, report) for report in (a_report(machine), installed)
    ]
    return [*said, Said(machine, "installed", at), Said(machine, "deploy-os", at)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([NODE, BARE, OTHER]), st.integers(0, 7)), max_size=12))
def test_what_was_heard_is_written_together_as_it_would_be_one_by_one(tmp_path_factory, heard):
    folder = tmp_path_factory.mktemp("state")
    with (
        closing(open_database(folder / "one.db")) as one,
        closing(open_database(folder / "other.db")) as other,
    ):
        at_once, together = Machines(one), Machines(other)
        for seconds, (machine, kind) in enumerate(heard):
            said = everything_an_agent_says(machine, NOW + timedelta(seconds=seconds))[kind % 4]
            if kind < 4:
                together.hear(said)
            elif said.report is None:
                together.record_contact(machine, said.environment, said.at)
            else:
                together.record_report(machine, said.report, said.at)
            if said.report is None:
                at_once.record_contact(machine, said.environment, said.at)
            else:
                at_once.record_report(machine, said.report, said.at)
        together.write_all()
        assert together.heard == 0
        fleet = (NODE, BARE, OTHER)
        later = NOW + timedelta(minutes=1)
        assert observe(other, fleet, {}, later) == observe(one, fleet, {}, later)


@pytest.mark.parametrize("kind", range(3), ids=["RAM report", "installed report", "contact"])
def test_who_looks_at_a_machine_sees_what_was_only_heard(observations, seen, kind):
    said = everything_an_agent_says(NODE, NOW)[kind]
    observations.hear(said)
    observations.hear(Said(OTHER, "installed", NOW))
    assert observations.seen(NODE, FleetHardware([NODE]), NOW).last_seen == NOW
    assert observations.heard == 1, "the other machine's waits"
    assert seen(NODE).last_seen == NOW


def test_what_was_heard_before_a_machine_was_given_its_uuid_is_seen_too(observations):
    observations.hear(Said(BARE, "deploy-os", NOW))
    after = replace(BARE, uuid=NODE.uuid)
    assert observations.seen(after, FleetHardware([after]), NOW).ramdisk_contact == NOW


def test_a_contact_that_was_only_heard_is_forgotten_too(observations, seen):
    observations.hear(Said(NODE, "deploy-os", NOW))
    observations.forget_contact(NODE)
    observations.write_all()
    assert seen(NODE).ramdisk_contact is None


def test_what_is_recorded_at_once_is_newer_than_what_was_heard(observations, seen):
    old, new = an_installed_report(NODE), a_report(NODE, installed=an_installed_system(OTHER, ""))
    observations.hear(Said(NODE, "installed", NOW, old))
    observations.hear(Said(NODE, "deploy-os", NOW))
    observations.record_report(NODE, new, NOW + timedelta(seconds=1))
    observations.record_contact(NODE, "installed", NOW + timedelta(seconds=1))
    observations.write_all()
    found = seen(NODE)
    assert found.installed.report == new
    assert (found.ramdisk_contact, found.installed_contact) == (None, NOW + timedelta(seconds=1))


def test_contacts_are_written_in_the_order_in_which_they_were_heard(observations, seen):
    for seconds, environment in enumerate(("installed", "deploy-os", "installed")):
        observations.hear(Said(NODE, environment, NOW + timedelta(seconds=seconds)))
    observations.write_all()
    assert seen(NODE).installed_contact == NOW + timedelta(seconds=2)


def test_what_cannot_be_written_stays_heard_until_it_can(observations, seen, monkeypatch):
    def full(reached, _what):
        if reached == "transaction.before":
            raise disk_full(reached)

    observations.hear(Said(NODE, "deploy-os", NOW))
    with monkeypatch.context() as patched:
        patched.setattr(failpoint, "watch", full)
        with pytest.raises(StateError, match="RW706"):
            observations.write()
        with pytest.raises(StateError, match="RW706"):
            observations.seen(NODE, FleetHardware([NODE]), NOW)
    assert observations.heard == 1
    observations.write()
    assert seen(NODE).ramdisk_contact == NOW


def test_the_first_reason_of_a_quarantine_stays_until_it_is_cleared(observations):
    for reason in ("first", "second"):
        observations.set_quarantine(NODE.name, NODE.hardware_identities, reason, NOW)
    assert observations.quarantine(NODE.name, NODE.hardware_identities) == "first"
    assert observations.clear_quarantine(NODE.name, NODE.hardware_identities, *BY)
    assert not observations.clear_quarantine(NODE.name, NODE.hardware_identities, *BY)
    assert observations.quarantine(NODE.name, NODE.hardware_identities) == ""


def test_a_quarantine_is_lifted_by_the_name_that_the_machine_had(observations):
    observations.set_quarantine(NODE.name, NODE.hardware_identities, "alarm", NOW)
    assert not observations.clear_quarantine("another", (), *BY)
    assert observations.clear_quarantine(NODE.name, (), *BY)


# --- boot requests ------------------------------------------------------------------------


def record(boots, request, at=NOW, *, known=True):
    """Take a request in and write it at once."""
    boots.record(request, at, known=known)
    boots.write()


def test_the_last_boot_of_any_of_its_cards_is_the_machines(boots, seen):
    for second, mac in enumerate((BARE.macs[1], BARE.macs[0], BARE.macs[0])):
        arch = 0 if second < 2 else None
        record(boots, boot(mac, arch=arch), NOW + timedelta(seconds=second))
    assert seen(BARE).boot_request == NOW + timedelta(seconds=1)


def test_macs_of_no_machine_are_unknown(boots):
    record(boots, boot("52:54:00:ff:00:01"), known=False)
    record(boots, boot("52:54:00:ff:00:02", arch=None), known=False)
    record(boots, boot(NODE.macs[0]))
    assert [each.mac for each in boots.sightings(NODE.macs)] == ["52:54:00:ff:00:01"]


@pytest.mark.parametrize("together", [True, False])
def test_the_timeline_keeps_the_newest_events_of_each_mac(boots, monkeypatch, together):
    monkeypatch.setattr(module, "EVENTS_PER_MAC", 3)
    requests = [boot(NODE.macs[0], detail=str(number)) for number in range(5)]
    for request in (*requests, boot(OTHER.macs[0], detail="other")):
        boots.record(request, NOW, known=True)
        if not together:
            boots.write()
    boots.write_all()
    timeline = boots.timeline((*NODE.macs, *OTHER.macs), 100)
    assert [event.detail for event in timeline] == ["2", "3", "4", "other"]


def test_made_up_macs_push_each_other_out_and_no_machine_of_the_fleet(boots, database, monkeypatch):
    monkeypatch.setattr(module, "UNKNOWN_MACS", 4)
    record(boots, boot(NODE.macs[0]))
    for number in range(20):
        at = NOW + timedelta(seconds=number)
        record(boots, boot(f"52:54:00:ff:00:{number:02x}"), at, known=False)
        for arch in (None, 0):
            record(boots, boot("52:54:00:ee:00:00", arch=arch), at, known=False)
    world = observe(database, [NODE], {}, NOW)
    assert world.machines[NODE.name].boot_request == NOW
    newest = [f"52:54:00:ff:00:{number:02x}" for number in (17, 18, 19)]
    unknown = {each.mac for each in boots.sightings(NODE.macs)}
    assert unknown == {"52:54:00:ee:00:00", *newest}
    every_mac = [f"52:54:00:ff:00:{number:02x}" for number in range(20)]
    assert {event.mac for event in boots.timeline(every_mac, 100)} == set(newest)


def test_a_storm_keeps_the_newest_requests_and_counts_the_lost_ones(boots, monkeypatch):
    monkeypatch.setattr(module, "WAITING", 3)
    for number in range(5):
        boots.record(boot(NODE.macs[0], detail=str(number)), NOW, known=True)
    assert (boots.waiting, boots.lost) == (3, 2)
    boots.write()
    assert [event.detail for event in boots.timeline(NODE.macs, 9)] == ["2", "3", "4"]


def test_whoever_decides_on_one_machine_writes_its_requests_only(boots):
    for number in range(3):
        for mac in (OTHER.macs[0], NODE.macs[0]):
            boots.record(boot(mac, detail=str(number)), NOW, known=True)
    boots.write_of(NODE.macs)
    assert [event.detail for event in boots.timeline(NODE.macs, 9)] == ["0", "1", "2"]
    assert (boots.timeline(OTHER.macs, 9), boots.waiting) == ((), 3)
    boots.write(2)
    assert [event.detail for event in boots.timeline(OTHER.macs, 9)] == ["0", "1"]
    boots.write()
    assert (len(boots.timeline(OTHER.macs, 9)), boots.waiting) == (3, 0)


def test_requests_wait_while_another_process_holds_the_database(tmp_path):
    database = open_database(tmp_path / "locked.db", BRIEF)
    boots = Boots(database)
    boots.record(boot(NODE.macs[0]), NOW, known=True)
    with closing(sqlite3.connect(tmp_path / "locked.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="RW705: another process holds the state database"):
            boots.write()
        assert boots.timeline(NODE.macs, 9) == ()
    boots.write()
    assert (len(boots.timeline(NODE.macs, 9)), boots.waiting) == (1, 0)
    database.close()


def test_an_answer_that_cannot_be_written_now_is_written_later(tmp_path):
    database = open_database(tmp_path / "locked.db", BRIEF)
    boots = Boots(database)
    asked = boots.record(boot(NODE.macs[0]), NOW, known=True, answer=None)
    boots.write()
    with closing(sqlite3.connect(tmp_path / "locked.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        boots.answered(asked, "Deploy-OS")  # a boot is answered whoever holds the database
        with pytest.raises(StateError, match="RW705"):
            boots.write()
    assert boots.waiting == 1
    boots.write_all()
    (event,) = boots.timeline(NODE.macs, 9)
    assert (event.answer, boots.waiting) == ("Deploy-OS", 0)
    database.close()


def test_an_answer_that_is_decided_later_stands_in_the_timeline(boots):
    early, late = (boots.record(boot(NODE.macs[0]), NOW, known=True, answer=None) for _ in range(2))
    boots.answered(early, "before it was written")
    boots.write()
    boots.answered(late, "after it was written")
    boots.write()
    answers = [event.answer for event in boots.timeline(NODE.macs, 9)]
    assert sorted(answers) == ["after it was written", "before it was written"]


def test_a_boot_request_that_anybody_can_send_takes_no_contact_back(observations, boots, seen):
    observations.record_contact(NODE, "deploy-os", NOW)
    record(boots, boot(NODE.macs[0]), NOW + timedelta(seconds=1))
    assert seen(NODE).ramdisk_contact == NOW
    observations.record_contact(NODE, "installed", NOW + timedelta(seconds=2))
    assert seen(NODE).installed_contact == NOW + timedelta(seconds=2)


def test_hardware_at_hand_is_as_good_as_hardware_looked_up(observations, database):
    observations.record_report(NODE, a_report(NODE, a_disk()), NOW)
    fleet = a_fleet(NODE)
    hardware = FleetHardware(fleet.machines.values())
    given = observe(database, fleet.machines.values(), {}, NOW, hardware)
    assert given == observe(database, fleet.machines.values(), {}, NOW)
