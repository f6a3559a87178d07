import json
from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b

import pytest
from attrs import evolve
from builders.world import (
    CAPTURE,
    CLONE,
    GIB,
    NOW,
    SUITABLE,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    a_status,
    an_image,
    an_installed_system,
    observed,
    ramdisk,
)
from hypothesis import example, given
from hypothesis import strategies as st

from agent.wire.disk import DiskSelector
from agent.wire.imaged_system import Obstacle
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore
from reconciler.planning.item import Risk
from reconciler.planning.lint import broken_invariants
from reconciler.planning.plan import Plan, exit_code, plan_of
from reconciler.planning.planner import plan as unchecked_plan
from reconciler.state.observed import CONTACT_MAX_AGE, ObservedMachine, TimedReport
from reconciler.state.operation import operation_id
from reconciler.state.operation_states import OperationState
from reconciler.views.plan_words import image as image_words
from specs.fleet import BackupStep, CompiledHold, DiskRequest

GOLDEN = a_machine(16, "capture-golden")
NODE = a_machine(17, "clone-golden")
MOMENT = timedelta(microseconds=1)


def plan(fleet, world, now):
    """Return the plan, held against the invariants of all plans."""
    made = unchecked_plan(fleet, world, now)
    assert broken_invariants(made) == ()
    return made


def running_system(machine, *disks):
    """Return a machine whose installed agent reported just now."""
    system = an_installed_system(machine, "earlier")
    return ObservedMachine(
        installed=TimedReport(a_report(machine, *disks, installed=system), NOW),
        installed_contact=NOW,
    )


def test_a_machine_that_restarted_since_its_agent_reported_is_not_taken_for_running():
    seen = replace(running_system(GOLDEN), boot_request=NOW)
    item = only_item(plan(a_fleet(GOLDEN), observed({GOLDEN.name: seen}), NOW))
    assert item.reason == "capture-golden run 1 captures image debian12; the machine may be in use"


def only_item(made: Plan):
    assert len(made.items) == 1
    return made.items[0]


def test_a_machine_without_assignments_needs_nothing():
    assert plan(a_fleet(a_machine(1)), observed(), NOW).empty


@pytest.mark.parametrize(
    ("seen", "risk"),
    [
        (ObservedMachine(), Risk.DISRUPTIVE),
        (ObservedMachine(ramdisk_contact=NOW), Risk.SAFE),
        (ObservedMachine(ramdisk_contact=NOW - CONTACT_MAX_AGE), Risk.SAFE),
        (ObservedMachine(ramdisk_contact=NOW - CONTACT_MAX_AGE - MOMENT), Risk.DISRUPTIVE),
        (ObservedMachine(ramdisk_contact=NOW + MOMENT), Risk.DISRUPTIVE),
        (ObservedMachine(ramdisk_contact=NOW - MOMENT, boot_request=NOW), Risk.DISRUPTIVE),
        (ObservedMachine(ramdisk_contact=NOW - MOMENT, installed_contact=NOW), Risk.DISRUPTIVE),
    ],
)
def test_a_machine_is_taken_for_used_unless_an_agent_waits_in_ram(seen, risk):
    item = only_item(plan(a_fleet(GOLDEN), observed({GOLDEN.name: seen}), NOW))
    assert item.risk is risk
    assert item.reason.endswith("may be in use") is (risk is Risk.DISRUPTIVE)


def test_work_for_the_next_boot_says_so_and_restarts_nothing():
    seen = running_system(GOLDEN)
    scenario = CAPTURE._replace(trigger="next-boot")
    fleet = replace(a_fleet(GOLDEN), scenarios={CAPTURE.name: scenario})
    item = only_item(plan(fleet, observed({GOLDEN.name: seen}), NOW))
    assert (item.risk, item.trigger) == (Risk.DISRUPTIVE, "next-boot")
    assert item.reason == (
        "capture-golden run 1 captures image debian12 when the machine starts next"
    )


def test_a_capture_of_a_machine_never_seen_overwrites_nothing():
    item = only_item(plan(a_fleet(GOLDEN), observed(), NOW))
    assert (item.risk, item.action) == (Risk.DISRUPTIVE, "capture")
    assert item.operation.instructions.steps == (
        InspectDisks(),
        Backup("debian12", DiskSelector("system")),
        Finish("poweroff"),
    )
    assert not item.operation.destructive


def test_a_capture_of_a_running_machine_is_disruptive():
    seen = running_system(GOLDEN)
    item = only_item(plan(a_fleet(GOLDEN), observed({GOLDEN.name: seen}), NOW))
    assert item.risk is Risk.DISRUPTIVE
    assert item.reason.endswith("the running system is rebooted for it")


def test_a_restore_without_its_image_is_blocked():
    made = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}), NOW)
    item = only_item(made)
    assert (item.risk, item.reason) == (Risk.BLOCKED, "image debian12 has not been captured yet")
    assert exit_code(made) == 4


def test_a_restore_onto_disks_never_seen_is_unknown_and_offers_to_inspect():
    made = plan(a_fleet(NODE), observed(images=(an_image(),)), NOW)
    item = only_item(made)
    assert (item.risk, item.action) == (Risk.UNKNOWN, "inspect")
    assert item.reason == "its disks were never seen; the machine may be in use"
    assert item.operation.instructions.steps == (InspectDisks(),)
    assert exit_code(made) == 5


def test_a_restore_onto_disks_seen_too_long_ago_is_unknown():
    seen = ramdisk(NODE, a_disk(), at=NOW - timedelta(hours=2))
    item = only_item(plan(a_fleet(NODE), observed({NODE.name: seen}, (an_image(),)), NOW))
    assert item.risk is Risk.UNKNOWN
    assert item.reason == (
        "its disks were last seen at 2026-11-21 10:00:00 UTC; the machine may be in use"
    )


def test_a_restore_names_the_disk_that_it_overwrites_and_those_that_it_leaves_alone():
    disk = a_disk("S1")
    node = replace(NODE, assignments=NODE.assignments)
    fleet = a_fleet(node)
    other = a_disk("USB", removable=True, node="/dev/sdb", model="Stick")
    seen = ramdisk(node, disk, other)
    made = plan(fleet, observed({node.name: seen}, (an_image(),)), NOW)
    item = only_item(made)
    assert item.risk is Risk.DESTRUCTIVE
    assert [facts.serial for facts in item.disks] == ["S1"]
    assert item.spared == ("Stick USB (/dev/sdb)",)
    assert item.operation.instructions.disks == (disk.identity,)
    assert exit_code(made) == 3


def test_a_restore_carries_the_network_identity_but_no_secret():
    made = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),)), NOW)
    _, restore, identity, finish = only_item(made).operation.instructions.steps
    assert isinstance(restore, Restore)
    assert restore.manifest == "a" * 64
    assert isinstance(identity, ApplyIdentity)
    assert identity.hostname == "node-17"
    assert identity.addresses == ("10.77.0.17/24",)
    assert identity.gateway == "10.77.0.254"
    assert identity.nameservers == ("10.77.0.253",)
    assert (identity.agent_token, identity.pin, identity.server) == ("", "", "")
    assert finish == Finish("reboot")


@pytest.mark.parametrize(
    ("disks", "reason"),
    [
        (
            (a_disk(size=2 * GIB),),
            (
                "disk QEMU HARDDISK S1 (/dev/vda) has 2147483648 bytes, "
                "image debian12 needs 3221225472"
            ),
        ),
        (
            (a_disk(sector_size=4096),),
            "disk QEMU HARDDISK S1 (/dev/vda) has sectors of 4096 bytes, image debian12 has 512",
        ),
        ((a_disk(read_only=True),), "disk QEMU HARDDISK S1 (/dev/vda) is read-only"),
        ((), "it has no fixed disk"),
        (
            (a_disk("A"), a_disk("B", node="/dev/vdb")),
            (
                "2 disks fit the role system: QEMU HARDDISK A (/dev/vda), "
                'QEMU HARDDISK B (/dev/vdb); name one, as in `disk: {serial: "A"}`'
            ),
        ),
    ],
)
def test_a_disk_that_does_not_fit_blocks_the_restore(disks, reason):
    seen = ramdisk(NODE, *disks)
    item = only_item(plan(a_fleet(NODE), observed({NODE.name: seen}, (an_image(),)), NOW))
    assert (item.risk, item.reason) == (Risk.BLOCKED, reason)


@pytest.mark.parametrize(
    ("disk", "used", "lost", "is_hinted"),
    [
        (a_disk(size=2 * GIB), 2 * GIB - 512, 0, True),
        (a_disk(size=2 * GIB), 2 * GIB - 512, 512, False),
        (a_disk(size=2 * GIB), 2 * GIB, 0, False),
        (a_disk(size=2 * GIB, sector_size=4096), GIB, 0, False),
        (a_disk(size=4 * GIB, sector_size=4096), GIB, 0, False),
    ],
)
def test_a_disk_too_small_for_the_image_but_not_for_what_it_uses_has_a_way_out(
    disk, used, lost, is_hinted
):
    image = an_image(used_bytes=used, unreadable_bytes=lost)
    world = observed({NODE.name: ramdisk(NODE, disk)}, (image,))
    item = only_item(plan(a_fleet(NODE), world, NOW))
    hint = (
        ": `rackwright image shrink debian12 debian12-small --to 2GiB` makes one, debian12-small, "
        "if it can be made so small"
    )
    assert item.unblock == f"Name another disk, or an image that fits it{hint * is_hinted}"


def test_an_image_without_a_good_proof_blocks_the_restore():
    bad = an_image(usable=False, problem="e2fsck found errors")
    item = only_item(
        plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (bad,)), NOW)
    )
    assert item.reason == "image debian12 is not usable: e2fsck found errors"


OBSTACLES = (
    Obstacle("RW462", "the system in the image lacks systemd", "Install it"),
    Obstacle("RW464", "/etc/hosts in the image is immutable (chattr +i)", "Correct it"),
)


def test_an_image_whose_clones_cannot_get_their_identity_blocks_the_restore():
    bad = an_image(system=evolve(SUITABLE, obstacles=OBSTACLES))
    item = only_item(
        plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (bad,)), NOW)
    )
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)
    assert item.reason == (
        "a clone of image debian12 cannot get its identity: RW462: the system in the image lacks "
        "systemd; RW464: /etc/hosts in the image is immutable (chattr +i)"
    )
    assert item.unblock == "Install it; Correct it"


@pytest.mark.parametrize("known", [None, evolve(SUITABLE, name="Debian GNU/Linux 12")])
def test_an_image_that_nobody_looked_into_is_restored_and_the_plan_says_so(known):
    seen = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(system=known),))
    item = only_item(plan(a_fleet(NODE), seen, NOW))
    assert item.risk is Risk.DESTRUCTIVE
    (change,) = item.images
    assert (change.system, change.suitability_unknown) == (
        known.name if known else "",
        known is None,
    )


def test_a_protected_machine_is_never_overwritten():
    node = replace(NODE, protect=True)
    seen = ramdisk(node, a_disk())
    item = only_item(plan(a_fleet(node), observed({node.name: seen}, (an_image(),)), NOW))
    assert item.risk is Risk.BLOCKED
    assert item.reason == "the machine is protected, and clone-golden would overwrite its disk"


REPAIRS = CAPTURE._replace(
    steps=(BackupStep("debian12", DiskRequest(), on_bad_sector="skip-and-mark", repair=True),)
)


def test_a_backup_that_repairs_is_disruptive_whatever_the_machine_does_and_the_plan_says_so():
    fleet = replace(a_fleet(GOLDEN), scenarios={CAPTURE.name: REPAIRS})
    waiting = ramdisk(GOLDEN, a_disk())
    assert only_item(plan(a_fleet(GOLDEN), observed({GOLDEN.name: waiting}), NOW)).risk is Risk.SAFE
    item = only_item(plan(fleet, observed({GOLDEN.name: waiting}), NOW))
    assert item.risk is Risk.DISRUPTIVE
    assert item.reason == (
        "capture-golden run 1 repairs file systems on the disk that were not left clean and then "
        "captures image debian12 without sectors that cannot be read"
    )
    assert item.operation.instructions.steps[0] == Backup(
        "debian12", DiskSelector("system"), on_bad_sector="skip-and-mark", repair=True
    )


def test_the_disk_of_a_protected_machine_is_not_repaired():
    for node in (replace(GOLDEN, protect=True), replace(GOLDEN, protect=None)):
        seen = ramdisk(node, a_disk())
        if not node.protect:
            seen = replace(seen, protected_at="fleet.yaml:3 of 1234")
        fleet = replace(a_fleet(node), scenarios={CAPTURE.name: REPAIRS})
        item = only_item(plan(fleet, observed({node.name: seen}), NOW))
        assert item.risk is Risk.BLOCKED
        assert item.reason.endswith("and capture-golden would repair file systems on its disk"), (
            item.reason
        )
        fleet = replace(a_fleet(node), scenarios={CAPTURE.name: CAPTURE})
        assert only_item(plan(fleet, observed({node.name: seen}), NOW)).risk is Risk.SAFE


def test_the_plan_of_a_restore_says_what_its_image_lacks():
    seen = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(unreadable_bytes=4608),))
    item = only_item(plan(a_fleet(NODE), seen, NOW))
    assert item.risk is Risk.DESTRUCTIVE
    (change,) = item.images
    assert "· 4,608 bytes of it were unreadable and are zeros" in image_words(change, NOW)


def test_a_quarantined_machine_gets_no_work():
    seen = replace(ramdisk(NODE, a_disk()), quarantine="its token was used twice")
    item = only_item(plan(a_fleet(NODE), observed({NODE.name: seen}, (an_image(),)), NOW))
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)
    assert item.reason == "quarantined: its token was used twice"


def test_a_scenario_that_may_not_reboot_waits_for_a_running_machine():
    fleet = a_fleet(NODE)
    gentle = CLONE._replace(reboot="never")
    fleet = replace(fleet, scenarios={**fleet.scenarios, "clone-golden": gentle})
    before = ramdisk(NODE, a_disk(), at=NOW - timedelta(minutes=5))
    seen = replace(before, installed=running_system(NODE).installed)
    item = only_item(plan(fleet, observed({NODE.name: seen}, (an_image(),)), NOW))
    assert item.risk is Risk.BLOCKED
    assert "`reboot: never`" in item.reason


def restored(node=NODE, *, verified_at=NOW - timedelta(minutes=1), **system):
    """Return the world after the node was cloned and its agent reported."""
    before = observed({node.name: ramdisk(node, a_disk())}, (an_image(),))
    operation = only_item(plan(a_fleet(node), before, NOW)).operation
    installed = an_installed_system(node, operation.op_id)
    for name, value in system.items():
        installed = type(installed)(
            **{
                **{field.name: getattr(installed, field.name) for field in attrs_of(installed)},
                name: value,
            }
        )
    report = TimedReport(a_report(node, a_disk(), installed=installed), NOW)
    return operation, observed(
        {node.name: ObservedMachine(installed=report, installed_contact=NOW)},
        (an_image(),),
        (a_status(operation, OperationState.VERIFIED, at=verified_at),),
    )


def attrs_of(instance):
    return type(instance).__attrs_attrs__


def test_replan_after_convergence_is_empty():
    _, world = restored()
    made = plan(a_fleet(NODE), world, NOW)
    assert made.empty
    assert exit_code(made) == 0


def test_a_moved_image_name_does_not_overwrite_a_verified_machine():
    _, world = restored()
    moved = replace(world, images={"debian12": an_image(manifest="b" * 64)})
    assert plan(a_fleet(NODE), moved, NOW).empty


def test_a_new_run_token_runs_the_scenario_again():
    _, world = restored()
    again = replace(NODE, assignments=(replace(NODE.assignments[0], run="2"),))
    item = only_item(plan(a_fleet(again), world, NOW))
    assert item.risk is Risk.DESTRUCTIVE


def test_a_disk_with_a_running_system_is_named_by_that_system():
    _, world = restored()
    again = replace(NODE, assignments=(replace(NODE.assignments[0], run="2"),))
    (disk,) = only_item(plan(a_fleet(again), world, NOW)).disks
    assert disk.holds == "Debian GNU/Linux 12 (bookworm), running as node-17"


def test_going_back_to_an_earlier_run_token_replays_nothing():
    operation, world = restored()
    later = replace(operation, op_id="e" * 32, run="2")
    world = replace(
        world,
        operations=(*world.operations, a_status(later, OperationState.VERIFIED, at=NOW)),
    )
    assert all(item.operation is None for item in plan(a_fleet(NODE), world, NOW).items)


def test_a_clone_that_was_not_heard_of_for_long_is_unknown():
    _, world = restored()
    made = plan(a_fleet(NODE), world, NOW + timedelta(hours=2))
    item = only_item(made)
    assert item.risk is Risk.UNKNOWN
    assert item.reason == "the installed agent was not heard since 2026-11-21 12:00:00 UTC"
    assert exit_code(made) == 5


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        (
            {"hostname": "golden"},
            "drift: its host name is golden, not node-17. A new run token installs it anew",
        ),
        (
            {"addresses": ()},
            "drift: it lacks the address 10.77.0.17/24. A new run token installs it anew",
        ),
        (
            {"operation": "other"},
            (
                "drift: the running system was not installed by this run. "
                "A new run token installs it anew"
            ),
        ),
    ],
)
def test_drift_is_shown_and_never_repaired_by_itself(system, reason):
    _, world = restored(**system)
    item = only_item(plan(a_fleet(NODE), world, NOW))
    assert (item.risk, item.operation, item.reason) == (Risk.BLOCKED, None, reason)


def test_a_failed_run_is_not_tried_again_by_itself():
    operation, world = restored()
    failed = a_status(operation, OperationState.FAILED, reason="RW410: chunk is corrupt.")
    item = only_item(plan(a_fleet(NODE), replace(world, operations=(failed,)), NOW))
    assert item.operation is None
    assert item.reason == (
        "failed: RW410: chunk is corrupt. To run it again, give the assignment a new run token"
    )


def test_an_indeterminate_operation_waits_for_a_person():
    operation, world = restored()
    lost = a_status(operation, OperationState.INDETERMINATE, reason="RW613: nothing was heard.")
    made = plan(a_fleet(NODE), replace(world, operations=(lost,)), NOW)
    assert only_item(made).operation is None
    assert "rackwright resolve" in only_item(made).reason


@pytest.mark.parametrize("state", ["approved", "armed", "started"])
def test_an_operation_under_way_is_not_planned_again(state):
    operation, world = restored()
    world = replace(world, operations=(a_status(operation, OperationState(state)),))
    item = only_item(plan(a_fleet(NODE), world, NOW))
    assert item.running
    assert item.operation.op_id == operation.op_id
    assert plan(a_fleet(NODE), world, NOW).to_apply == ()


def test_the_second_scenario_of_a_machine_waits_for_the_first():
    node = a_machine(3, "capture-golden", "clone-golden")
    first, second = sorted(
        plan(a_fleet(node), observed(), NOW).items, key=lambda item: item.risk is Risk.BLOCKED
    )
    assert first.action == "capture"
    assert second.reason == "waits for capture-golden run 1 on this machine"


def test_the_largest_risk_comes_first():
    nodes = [
        a_machine(1, "capture-golden"),
        a_machine(2, "clone-golden"),
        a_machine(3, "clone-golden"),
    ]
    world = observed({"node-02": ramdisk(nodes[1], a_disk())}, (an_image(),))
    risks = [item.risk for item in plan(a_fleet(*nodes), world, NOW).items]
    assert risks == [Risk.DESTRUCTIVE, Risk.DISRUPTIVE, Risk.UNKNOWN]


def test_the_digest_does_not_depend_on_the_time():
    world = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))
    first = plan(a_fleet(NODE), world, NOW)
    assert first.digest == plan(a_fleet(NODE), world, NOW + timedelta(minutes=1)).digest


def test_another_disk_makes_another_operation():
    one = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk("A"))}, (an_image(),)), NOW)
    two = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk("B"))}, (an_image(),)), NOW)
    assert only_item(one).operation.op_id != only_item(two).operation.op_id
    assert one.digest != two.digest


@given(
    seen=st.lists(st.sampled_from(["never", "ram", "old", "installed"]), min_size=1, max_size=8),
    image=st.booleans(),
    protect=st.booleans(),
)
def test_whatever_is_observed_only_a_named_fresh_disk_is_ever_overwritten(seen, image, protect):
    machines = [
        replace(a_machine(i + 1, "clone-golden"), protect=protect) for i in range(len(seen))
    ]
    known = {}
    for machine, how in zip(machines, seen, strict=True):
        if how == "ram":
            known[machine.name] = ramdisk(machine, a_disk(machine.name))
        elif how == "old":
            known[machine.name] = ramdisk(machine, a_disk(machine.name), at=NOW - timedelta(days=1))
        elif how == "installed":
            known[machine.name] = running_system(machine, a_disk(machine.name))
    made = plan(a_fleet(*machines), observed(known, (an_image(),) if image else ()), NOW)
    assert len(made.items) == len(machines)
    for item in made.items:
        destructive = item.operation is not None and item.operation.destructive
        assert destructive == (item.risk is Risk.DESTRUCTIVE)
        if destructive:
            assert image
            assert not protect
            assert [disk.serial for disk in item.operation.instructions.disks] == [item.machine]


HOLD = CompiledHold("freeze", NOW + timedelta(hours=1), "ops", "audit", CLONE.position)
WISHES = [a_machine(0, *names).assignments for names in ([], ["clone-golden"], ["capture-golden"])]
WISHES += [WISHES[1] + WISHES[2], (replace(WISHES[1][0], run="2"),)]
some_machine = st.fixed_dictionaries(
    {
        "assignments": st.sampled_from(WISHES),
        "group": st.sampled_from(["lab", "lab/rack"]),
        "holds": st.sampled_from([(), ("freeze",)]),
        "unsupported": st.sampled_from(["", "no provider does it yet"]),
        "protect": st.sampled_from([None, False, True]),
        "uuid": st.sampled_from(["", "77000000-0000-4000-8000-000000000000"]),
        "origins": st.sampled_from([{}, {"protect": WISHES[1][0].origin}]),
    }
)


PROTECTED = {"assignments": WISHES[1], "protect": True}


@given(found=st.lists(some_machine, min_size=2, max_size=6), first_is_seen=st.booleans())
@example(
    found=[PROTECTED, PROTECTED | {"origins": {"protect": WISHES[1][0].origin}}],
    first_is_seen=False,
)
def test_what_is_planned_for_a_machine_does_not_depend_on_others_like_it(found, first_is_seen):
    machines = [a_machine(number, **changes) for number, changes in enumerate(found, start=1)]
    seen = {"node-01": ramdisk(machines[0], a_disk())} if first_is_seen else {}
    world = observed(seen, (an_image(),))

    def planned(*some):
        return plan(replace(a_fleet(*some), holds=(HOLD,)), world, NOW).items

    alone = [item for machine in machines for item in planned(machine)]
    together = planned(*machines)
    assert sorted(together, key=repr) == sorted(alone, key=repr)


@given(
    st.text(),
    st.text(),
    st.lists(st.text(), max_size=2),
    st.lists(st.text(), max_size=2),
    st.text(),
)
def test_the_id_of_an_operation_is_a_digest_of_a_list_in_json(hardware, scenario, ins, disks, run):
    text = json.dumps([hardware, scenario, ins, disks, run], separators=(",", ":"))
    expected = blake2b(text.encode(), digest_size=16).hexdigest()
    assert operation_id(hardware, scenario, tuple(ins), tuple(disks), run) == expected


def test_a_plan_that_contradicts_itself_is_found_out():
    made = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),)), NOW)
    item = only_item(made)
    lying = remade(made, replace(item, risk=Risk.SAFE, disks=(), images=()))
    assert broken_invariants(lying) == (
        "node-17: shown as SAFE, but it overwrites 1 disks",
        "node-17: overwrites 1 disks, shows 0",
    )
    twice = remade(made, item, item)
    assert broken_invariants(twice) == ("node-17: 2 operations would start at once",)
    elsewhere = replace(
        item.operation,
        body=replace(item.operation.instructions, disks=(a_disk("other").identity,)),
    )
    assert broken_invariants(remade(made, replace(item, operation=elsewhere))) == (
        "node-17: its steps write other disks than the operation names",
    )
    (sound,) = made.groups
    assert broken_invariants(replace(made, groups=(replace(sound, disks=0),))) == (
        "DESTRUCTIVE restore lab: what is said of its 1 items is not so",
    )


def remade(made: Plan, *items) -> Plan:
    return plan_of(made.revision, made.made_at, items, made.budget)
