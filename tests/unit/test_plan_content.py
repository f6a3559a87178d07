"""What an item tells its reviewer: backups, images, holds, and how to go on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import (
    CAPTURE,
    CLONE,
    GIB,
    HERE,
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_status,
    an_image,
    observed,
    ramdisk,
)

from agent.imaging.growable import Growable, GrowablePartition
from agent.wire.step import Backup, Restore
from reconciler.planning.item import LastBackup, Risk
from reconciler.planning.lint import broken_invariants
from reconciler.planning.plan import exit_code
from reconciler.planning.planner import plan as unchecked_plan
from reconciler.state.observed import Capture
from reconciler.state.operation_states import OperationState
from specs.diagnostics.position import Position
from specs.fleet import BackupStep, CompiledHold, Origin, UnsupportedDocument

MIB = 1 << 20
NODE = a_machine(17, "clone-golden")
GOLDEN = a_machine(16, "capture-golden")
SAVED = an_image(disk_size=4 * GIB)


def plan(fleet, world, now=NOW):
    made = unchecked_plan(fleet, world, now)
    assert broken_invariants(made) == ()
    return made


def only_item(made):
    assert len(made.items) == 1
    return made.items[0]


def saved_world(  # noqa: PLR0913 - each is one way to differ
    *, state=OperationState.VERIFIED, proof="", image=SAVED, size=4 * GIB, later=(), partitions=()
):
    """Return a world in which the golden machine was captured and shall now be overwritten."""
    fleet = a_fleet(GOLDEN)
    capturing = fleet.scenarios["capture-golden"]
    steps = tuple(
        step._replace(partitions=partitions) if isinstance(step, BackupStep) else step
        for step in capturing.steps
    )
    fleet = replace(fleet, scenarios={capturing.name: capturing._replace(steps=steps)})
    operation = only_item(plan(fleet, observed())).operation
    capture = Capture(operation.op_id, "debian12", SAVED.manifest, proof)
    again = replace(
        GOLDEN,
        assignments=tuple(replace(each, scenario="clone-golden") for each in GOLDEN.assignments),
    )
    status = a_status(operation, state, at=NOW - timedelta(days=3))
    world = observed(
        {GOLDEN.name: ramdisk(GOLDEN, a_disk(size=size))},
        (image,),
        (status, *later),
        captures=(capture,),
    )
    return a_fleet(again), world


def test_a_disk_names_its_last_good_backup():
    (disk,) = only_item(plan(*saved_world())).disks
    assert disk.backup == LastBackup(
        "debian12", SAVED.manifest, SAVED.created, overwritten_since=False
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"proof": None},
        {"proof": "e2fsck found errors"},
        {"state": OperationState.FAILED},
        {"image": an_image(disk_size=4 * GIB, manifest="b" * 64)},
        {"image": an_image(disk_size=3 * GIB)},
        {"partitions": (1,)},
    ],
    ids=["unproven", "bad", "failed", "the name moved on", "another disk's size", "partitions"],
)
def test_what_cannot_be_restored_by_name_is_no_backup(changes):
    assert only_item(plan(*saved_world(**changes))).disks[0].backup is None


def test_the_image_of_another_machine_is_no_backup():
    _, world = saved_world()
    world = replace(world, machines={NODE.name: ramdisk(NODE, a_disk())})
    assert only_item(plan(a_fleet(NODE), world)).disks[0].backup is None


def test_a_backup_says_when_a_restore_came_after_it():
    fleet, world = saved_world()
    written = only_item(plan(fleet, world)).operation
    written = replace(written, op_id="9" * 32, run="earlier")
    later = (a_status(written, OperationState.VERIFIED, at=NOW),)
    (item,) = plan(*saved_world(later=later)).items
    assert item.disks[0].backup.overwritten_since
    assert item.images[0].replaces == SAVED.manifest


def test_an_image_names_what_the_last_verified_restore_wrote():
    world = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))
    first = only_item(plan(a_fleet(NODE), world))
    assert first.images[0].replaces == ""
    done = a_status(first.operation, OperationState.VERIFIED)
    again = replace(NODE, assignments=(replace(NODE.assignments[0], run="2"),))
    world = replace(world, operations=(done,), images={"debian12": an_image(manifest="b" * 64)})
    (change,) = only_item(plan(a_fleet(again), world)).images
    assert (change.replaces, change.manifest) == ("a" * 64, "b" * 64)
    failed = replace(world, operations=(a_status(first.operation, OperationState.FAILED),))
    assert only_item(plan(a_fleet(again), failed)).images[0].replaces == ""


def a_hold(**changes):
    values = {
        "name": "freeze",
        "until": NOW + timedelta(days=2),
        "owner": "ops@example.net",
        "reason": "quarter end",
        "position": Position("holds.yaml", 1, 1),
    }
    return CompiledHold(**{**values, **changes})


def held(*holds, machine=NODE, world=None):
    world = world or observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    machine = replace(machine, holds=tuple(hold.name for hold in holds))
    return only_item(plan(replace(a_fleet(machine), holds=holds), world))


def test_a_hold_blocks_new_work_and_names_owner_end_reason_and_place():
    item = held(a_hold())
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)
    assert item.reason == "held by ops@example.net until 2026-11-23 12:00 UTC: quarter end"
    assert str(item.cause.position) == "holds.yaml:1:1"
    assert item.unblock == (
        "Wait until then, or ask ops@example.net to end hold freeze at holds.yaml:1:1"
    )


def test_a_hold_blocks_an_inspection_too():
    assert held(a_hold(), world=observed(images=(an_image(),))).risk is Risk.BLOCKED


def test_a_hold_that_is_over_has_no_effect():
    assert held(a_hold(until=NOW)).risk is Risk.DESTRUCTIVE


def test_a_hold_for_another_machine_has_no_effect():
    world = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))
    fleet = replace(a_fleet(NODE), holds=(a_hold(),))
    assert only_item(plan(fleet, world)).risk is Risk.DESTRUCTIVE


def test_of_two_holds_the_one_that_lasts_longer_is_named():
    longer = a_hold(name="audit", until=NOW + timedelta(days=9), reason="audit")
    assert "audit" in held(longer, a_hold()).reason


def test_a_hold_leaves_work_alone_that_is_under_way():
    world = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))
    operation = only_item(plan(a_fleet(NODE), world)).operation
    world = replace(world, operations=(a_status(operation, OperationState.STARTED),))
    assert held(a_hold(), world=world).running


def test_a_document_that_nothing_acts_on_is_one_blocked_item_without_a_machine():
    document = UnsupportedDocument("Package", "nginx", "no provider installs packages yet", HERE)
    made = plan(replace(a_fleet(), unsupported=(document,)), observed())
    item = only_item(made)
    assert (item.machine, item.name, item.risk) == ("", "Package nginx", Risk.BLOCKED)
    assert item.reason == "no provider installs packages yet"
    assert exit_code(made) == 4


def test_a_protected_machine_says_where_the_protection_is_written():
    place = Origin(Position("machines.yaml", 9, 3))
    node = replace(NODE, protect=True, origins={"protect": place})
    world = observed({node.name: ramdisk(node, a_disk())}, (an_image(),))
    assert only_item(plan(a_fleet(node), world)).unblock == (
        "Write `protect: false` at machines.yaml:9:3 instead, if the machine may be overwritten"
    )


def test_the_estimate_counts_used_bytes_and_two_starts():
    world = observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(used_bytes=10**10),))
    assert only_item(plan(a_fleet(NODE), world)).seconds == 180 + 100


def test_a_scenario_that_waits_says_that_nothing_is_to_be_done():
    node = a_machine(3, "capture-golden", "clone-golden")
    waiting = plan(a_fleet(node), observed()).items[-1]
    assert waiting.unblock == "Nothing to do: it follows once capture-golden run 1 is done"
    assert CLONE.name == waiting.action


def test_a_scenario_that_cannot_be_carried_out_as_it_says_is_blocked():
    reason = "no provider delivers by multicast yet"
    scenario = a_fleet().scenarios["clone-golden"]._replace(unsupported=reason)
    fleet = replace(a_fleet(NODE), scenarios={"clone-golden": scenario})
    item = only_item(plan(fleet, observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))))
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)
    assert item.reason == f"clone-golden: {reason}"


def test_a_backup_says_that_it_takes_every_sector():
    inspect, backup = CAPTURE.steps
    scenario = CAPTURE._replace(steps=(inspect, backup._replace(mode="full")))
    fleet = replace(a_fleet(GOLDEN), scenarios={CAPTURE.name: scenario})
    item = only_item(plan(fleet, observed({GOLDEN.name: ramdisk(GOLDEN, a_disk())})))
    assert item.reason == "capture-golden run 1 captures image debian12 with every sector"
    steps = item.operation.instructions.steps
    assert [step.mode for step in steps if isinstance(step, Backup)] == ["full"]


@pytest.mark.parametrize(
    ("grow", "clause"),
    [
        ("none", ""),
        ("last", " and grows its last partition to the end of the disk"),
        ("3", " and grows its partition 3 into the free space behind it"),
        ("vg0/root", " and grows its LVM volume vg0/root into all free space of its group"),
    ],
)
def test_a_restore_says_which_partition_it_grows(grow, clause):
    inspect, restore = CLONE.steps
    scenario = CLONE._replace(steps=(inspect, restore._replace(grow=grow)))
    fleet = replace(a_fleet(NODE), scenarios={CLONE.name: scenario})
    item = only_item(plan(fleet, observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),))))
    assert item.reason == f"clone-golden run 1 writes image debian12{clause}"
    steps = item.operation.instructions.steps
    assert [step.grow for step in steps if isinstance(step, Restore)] == [grow]


def test_a_btrfs_that_is_too_small_to_grow_is_refused_before_anything_is_written():
    inspect, restore = CLONE.steps
    scenario = CLONE._replace(steps=(inspect, restore._replace(grow="last")))
    fleet = replace(a_fleet(NODE), scenarios={CLONE.name: scenario})
    small = GrowablePartition(1, MIB, 160 * MIB, "btrfs", "")
    size = 162 * MIB
    growable = Growable(size, 512, "gpt", 33 * 512, (small,), (), ())
    image = an_image(disk_size=size, growable=growable)
    disk = a_disk(size=size + 5 * MIB)
    item = only_item(plan(fleet, observed({NODE.name: ramdisk(NODE, disk)}, (image,))))
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)
    assert item.reason.endswith(
        "partition 1 cannot be grown: its btrfs would have 173,015,040 bytes on this disk, and "
        "Linux gives none a new size of less than 268,435,456"
    )
    assert item.unblock.startswith("Restore to a larger disk, or with `grow: none` (clone-golden")


def test_a_machine_that_nothing_can_switch_is_blocked():
    reason = "no provider switches machines by Redfish yet"
    machine = replace(NODE, power_driver="redfish", unsupported=reason)
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    item = only_item(plan(a_fleet(machine), world))
    assert (item.risk, item.operation, item.reason) == (Risk.BLOCKED, None, reason)
