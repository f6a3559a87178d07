"""Several disks of one machine in one scenario: which, in which order, and what is warned of."""

from dataclasses import replace

import attrs
import pytest
from builders.world import (
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

from agent.errors import TerminalError
from agent.steps.several_disks import captured_with, written_with
from agent.wire.disk import DiskSelector, Partition
from agent.wire.imaged_layout import ImagedLayout, PartitionPlace
from agent.wire.imaged_system import Obstacle
from agent.wire.step import ApplyIdentity, Backup, Finish, Restore
from agent.wire.work import TimeLimit
from providers.imaging.image_record import ImageSet, SetMember
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.planning.summary import summarize
from reconciler.state.observed import Capture, ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.views import plan_words
from specs.compile.fleet import compile_fleet
from specs.fleet import BackupStep, CompiledScenario, DiskRequest, InspectDisksStep, RestoreStep
from tests.builders.world import CAPTURE, CLONE, GIB

SYS, DAT = a_disk("SYS"), a_disk("DAT", 8 * GIB, node="/dev/vdb")
NO_SYSTEM = attrs.evolve(
    SUITABLE, root="", obstacles=(Obstacle("RW460", "no Linux system", "Use another image"),)
)
BOTH = ImageSet(
    "e" * 32, "node-01", NOW.isoformat(), (SetMember("data", "d" * 64), SetMember("sys", "a" * 64))
)
SYSTEM = an_image(name="sys", manifest="a" * 64, sets=(BOTH,))
DATA = an_image(name="data", manifest="d" * 64, sets=(BOTH,), system=NO_SYSTEM)
FROM_SYS, FROM_DAT = DiskRequest(serial="SYS"), DiskRequest(serial="DAT")
RESTORE_SYS = RestoreStep("sys", FROM_SYS, "apply")
RESTORE_DAT = RestoreStep("data", FROM_DAT, "apply")


def scenario(*steps, base: CompiledScenario = CLONE, **changes):
    return base._replace(steps=steps, **changes)


def planned(wanted: CompiledScenario, *images, disks=(SYS, DAT), operations=(), captures=()):
    """Return the one item of a machine that is to have this scenario."""
    machine = a_machine(1, wanted.name)
    fleet = replace(a_fleet(machine), scenarios={wanted.name: wanted})
    known = observed(
        {machine.name: ramdisk(machine, *disks)}, images, operations, captures=captures
    )
    return fleet, known, plan(fleet, known, NOW).items[0]


def item_of(*arguments, **more):
    return planned(*arguments, **more)[2]


def kinds(item):
    return [type(step).__name__ for step in item.operation.instructions.steps]


# --- restores -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [(RESTORE_SYS, RESTORE_DAT), (RESTORE_DAT, RESTORE_SYS)])
def test_the_disk_with_the_system_is_written_last_and_gets_the_identity_once(steps):
    item = item_of(scenario(InspectDisksStep(), *steps), SYSTEM, DATA)
    assert (item.risk, item.warnings) == (Risk.DESTRUCTIVE, ())
    assert kinds(item) == ["InspectDisks", "Restore", "Restore", "ApplyIdentity", "Finish"]
    _, data, system, identity, _ = item.operation.instructions.steps
    assert (data.disk, system.disk, identity.disk) == (DAT.identity, SYS.identity, SYS.identity)
    assert [disk.serial for disk in item.disks] == ["DAT", "SYS"]
    assert [image.name for image in item.images] == ["data", "sys"]
    assert item.operation.proof


def test_a_step_takes_its_time_limit_along():
    wanted = scenario(RESTORE_SYS, RESTORE_DAT, step_seconds=(60, 7))
    limits = item_of(wanted, SYSTEM, DATA).operation.instructions.limits
    assert limits == (TimeLimit(0, 0, 7), TimeLimit(1, 2, 60))


@pytest.mark.parametrize(
    "images",
    [
        (attrs.evolve, None, None),
        (attrs.evolve, SUITABLE, SUITABLE),
    ],
    ids=["nobody looked", "both have a system"],
)
def test_the_order_of_the_document_stays_where_no_one_disk_has_the_system(images):
    _, one, two = images
    keep = [each._replace(identity="keep") for each in (RESTORE_SYS, RESTORE_DAT)]
    item = item_of(scenario(*keep), replace(SYSTEM, system=one), replace(DATA, system=two))
    written = [step for step in item.operation.instructions.steps if isinstance(step, Restore)]
    assert [step.image for step in written] == ["sys", "data"]


def test_what_was_approved_does_not_lapse_because_of_the_order():
    wanted = scenario(RESTORE_SYS, RESTORE_DAT)
    fleet, known, item = planned(wanted, SYSTEM, DATA)
    machine = fleet.machines["node-01"]
    seen = known.machines["node-01"]
    assert why_lapsed(fleet, machine, seen, known.images, item.operation, NOW) == ""
    newer = {**known.images, "data": replace(DATA, manifest="f" * 64)}
    assert "was changed" in why_lapsed(fleet, machine, seen, newer, item.operation, NOW)


def test_two_systems_for_one_machine_are_refused():
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), SYSTEM, replace(DATA, system=SUITABLE))
    assert (item.risk, item.reason) == (
        Risk.BLOCKED,
        "images sys and data would both become this machine",
    )
    assert item.unblock.startswith("Write `identity: keep` in the steps of those")


def test_disks_without_any_system_get_no_identity_and_say_so():
    lone = replace(SYSTEM, system=NO_SYSTEM)
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), lone, DATA)
    assert item.risk is Risk.BLOCKED
    assert item.reason.startswith("a clone of image sys cannot get its identity: RW460")
    alone = item_of(scenario(RESTORE_DAT), DATA)
    assert alone.reason.startswith("a clone of image data cannot get its identity: RW460")


def test_one_step_whose_image_cannot_be_a_clone_blocks_all_of_them():
    broken = Obstacle("RW462", "no Python", "Install it")
    image = replace(SYSTEM, system=attrs.evolve(SUITABLE, obstacles=(broken,)))
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), image, DATA)
    assert item.reason == "a clone of image sys cannot get its identity: RW462: no Python"


@pytest.mark.parametrize(
    ("disks", "reason"),
    [
        (
            (SYS, a_disk("DAT", GIB, node="/dev/vdb")),
            "disk QEMU HARDDISK DAT (/dev/vdb) has 1073741824 bytes, image data needs 3221225472",
        ),
        (
            (SYS, a_disk("DAT", sector_size=4096, node="/dev/vdb")),
            "disk QEMU HARDDISK DAT (/dev/vdb) has sectors of 4096 bytes, image data has 512",
        ),
        ((SYS,), "no fixed disk has serial DAT; present: QEMU HARDDISK SYS (/dev/vda)"),
    ],
)
def test_a_disk_that_does_not_fit_keeps_the_others_from_being_written(disks, reason):
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), SYSTEM, DATA, disks=disks)
    assert (item.risk, item.reason, item.operation) == (Risk.BLOCKED, reason, None)


# --- what is warned of ----------------------------------------------------------------


def test_a_set_that_is_restored_as_a_whole_needs_no_warning():
    older = attrs.evolve(BOTH, run="d" * 32, members=(SetMember("sys", "a" * 64),))
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), replace(SYSTEM, sets=(older, BOTH)), DATA)
    assert item.warnings == ()


def test_one_image_of_a_set_is_warned_of_by_the_name_of_the_other():
    keep = RESTORE_DAT._replace(identity="keep")
    assert item_of(scenario(keep), DATA).warnings == (
        (
            "data (set eeeeeeeeeeee of node-01, 2026-11-21 12:00 UTC) is restored without sys, "
            "captured together with it"
        ),
    )


def test_images_of_two_sets_are_warned_of_with_both_dates():
    other = attrs.evolve(
        BOTH,
        run="f" * 32,
        at="2026-11-12T03:00:00+00:00",
        members=(SetMember("data", "d" * 64), SetMember("sys", "b" * 64)),
    )
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), SYSTEM, replace(DATA, sets=(other,)))
    assert item.warnings == (
        (
            "not captured together: data (set ffffffffffff of node-01, 2026-11-12 03:00 UTC), "
            "sys (set eeeeeeeeeeee of node-01, 2026-11-21 12:00 UTC)"
        ),
    )


def test_an_image_of_no_set_beside_one_of_a_set_is_warned_of():
    lone = replace(DATA, sets=(), name="other", manifest="9" * 64)
    steps = scenario(RESTORE_SYS, RESTORE_DAT._replace(image="other"))
    first, second = item_of(steps, SYSTEM, lone).warnings
    assert first.startswith("not captured together: other (captured alone, 2026-11-21 11:55 UTC), ")
    assert second.endswith("is restored without data, captured together with it")


def test_images_that_never_were_a_set_are_not_warned_of():
    lone = [replace(each, sets=()) for each in (SYSTEM, DATA)]
    assert item_of(scenario(RESTORE_SYS, RESTORE_DAT), *lone).warnings == ()


def test_an_identical_disk_under_another_name_counts_as_restored():
    other = replace(DATA, name="copy-of-data")
    steps = scenario(RESTORE_SYS, RESTORE_DAT._replace(image="copy-of-data"))
    assert item_of(steps, SYSTEM, other).warnings == ()


def laid_out(*places):
    return ImagedLayout("gpt", tuple(PartitionPlace(*each, "linux") for each in places))


def partitions(*places):
    return tuple(
        Partition(number, start, size, kind, "", "", "") for number, start, size, kind in places
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (((1, 1, 10, "x"), (2, 11, 5, "x")), ""),
        (((1, 1, 10, "x"), (2, 11, 5, "x"), (4, 20, 9, "0x05")), ""),
        ((), ""),
        (((1, 1, 10, "x"), (2, 11, 7000, "x")), "partition 2 has 7,000 bytes, it had 5"),
        (((1, 1, 10, "x"), (2, 12, 5, "x")), "partition 2 begins at byte 12, it began at 11"),
        (
            ((2, 11, 5, "x"), (3, 30, 1, "x")),
            "partition 1 is gone; partition 3 is new",
        ),
    ],
)
def test_a_disk_that_was_partitioned_anew_since_its_backup_is_warned_of(found, said):
    image = replace(SYSTEM, layout=laid_out((1, 1, 10), (2, 11, 5)), sets=())
    disk = a_disk("SYS", partitions=partitions(*found))
    capture = scenario(BackupStep("sys", FROM_SYS), base=CAPTURE)
    before = item_of(capture, disks=(disk,)).operation
    item = item_of(
        scenario(RESTORE_SYS),
        image,
        disks=(disk,),
        operations=(a_status(before, OperationState.VERIFIED),),
        captures=(Capture(before.op_id, "sys", image.manifest, ""),),
    )
    head = (
        "the partitions of disk QEMU HARDDISK SYS (/dev/vda) were changed since sys was captured "
        "at 2026-11-21 11:55 UTC: "
    )
    assert item.warnings == ((head + said,) if said else ())


def test_a_clone_of_another_machine_says_nothing_of_partitions():
    image = replace(SYSTEM, layout=laid_out((1, 1, 10)), sets=())
    disk = a_disk("SYS", partitions=partitions((1, 5, 5, "x")))
    assert item_of(scenario(RESTORE_SYS), image, disks=(disk,)).warnings == ()


def test_many_machines_with_a_warning_are_one_line():
    keep = scenario(RESTORE_DAT._replace(identity="keep"))
    machines = [a_machine(number, keep.name) for number in range(1, 30)]
    fleet = replace(a_fleet(*machines), scenarios={keep.name: keep})
    seen = {each.name: ramdisk(each, SYS, DAT) for each in machines}
    (row,) = summarize(plan(fleet, observed(seen, (DATA,)), NOW).groups, 8)
    assert plan_words.warning(row).startswith("warning (29 of 29, for example): data (set eeee")


# --- a system whose parts are on another disk -----------------------------------------

ELSEWHERE = attrs.evolve(SUITABLE, alone=(Obstacle("RW468", "/var is elsewhere", "Keep it"),))


def test_a_system_with_parts_on_a_disk_that_is_not_restored_is_blocked():
    image = replace(SYSTEM, system=ELSEWHERE)
    item = item_of(scenario(RESTORE_SYS), image)
    assert (item.risk, item.reason, item.unblock) == (
        Risk.BLOCKED,
        (
            "a clone of image sys cannot get its identity: RW468: /var is elsewhere; it was "
            "captured together with data"
        ),
        "Restore data in the same scenario; or: Keep it",
    )
    assert item_of(scenario(RESTORE_SYS, RESTORE_DAT), image, DATA).risk is Risk.DESTRUCTIVE
    keep = scenario(RESTORE_SYS._replace(identity="keep"))
    assert item_of(keep, image).risk is Risk.DESTRUCTIVE


# --- backups --------------------------------------------------------------------------


def test_a_backup_of_two_disks_says_which_image_is_of_which():
    steps = scenario(BackupStep("sys", FROM_SYS), BackupStep("data", FROM_DAT), base=CAPTURE)
    item = item_of(steps)
    assert item.reason == "capture-golden run 1 captures image sys and captures image data"
    assert kinds(item) == ["Backup", "Backup", "Finish"]


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        (
            (DiskRequest(), FROM_DAT),
            (
                "image sys: 2 disks fit the role system: QEMU HARDDISK SYS (/dev/vda), QEMU "
                'HARDDISK DAT (/dev/vdb); name one, as in `disk: {serial: "SYS"}`'
            ),
        ),
        (
            (FROM_DAT, DiskRequest(wwn="0x5")),
            "images sys and data would be of the same disk, QEMU HARDDISK DAT (/dev/vdb)",
        ),
    ],
)
def test_backups_that_cannot_choose_their_disks_are_blocked_by_what_was_seen(requests, reason):
    second = a_disk("DAT", identity=attrs.evolve(DAT.identity, wwn="0x5"), node="/dev/vdb")
    steps = [BackupStep(name, each) for name, each in zip(("sys", "data"), requests, strict=True)]
    item = item_of(scenario(*steps, base=CAPTURE), disks=(SYS, second))
    assert (item.risk, item.reason) == (Risk.BLOCKED, reason)
    assert item.unblock == "Name the disk of each backup step in capture-golden"


def test_a_disk_without_a_serial_of_its_own_is_named_by_what_tells_it_apart():
    same = [a_disk("", node=node) for node in ("/dev/vda", "/dev/vdb")]
    apart = [
        attrs.evolve(each, identity=attrs.evolve(each.identity, path=f"pci-0000:00:0{n}.0"))
        for n, each in enumerate(same)
    ]
    steps = scenario(BackupStep("sys", DiskRequest()), base=CAPTURE)
    assert 'as in `disk: {path: "pci-0000:00:00.0"}`' in item_of(steps, disks=apart).reason
    assert item_of(steps, disks=same).reason.endswith("nothing that can be named tells them apart")


def test_a_disk_that_only_the_running_system_has_over_the_network_is_no_second_one():
    far = a_disk("LUN", transport="fc", node="/dev/sdb")
    steps = scenario(BackupStep("sys", DiskRequest()), base=CAPTURE)
    machine = a_machine(1, steps.name)
    fleet = replace(a_fleet(machine), scenarios={steps.name: steps})
    system = an_installed_system(machine, "")
    report = TimedReport(a_report(machine, SYS, far, installed=system), NOW)
    known = observed({machine.name: ObservedMachine(installed=report)})
    assert plan(fleet, known, NOW).items[0].operation is not None
    assert item_of(steps, disks=(SYS, far)).risk is Risk.BLOCKED


def test_a_removable_disk_may_be_backed_up_by_its_name():
    stick = a_disk("USB", removable=True, node="/dev/vdc")
    steps = scenario(BackupStep("stick", DiskRequest(serial="USB")), base=CAPTURE)
    assert item_of(steps, disks=(SYS, stick)).risk is Risk.SAFE


def test_backups_of_disks_that_nobody_saw_are_left_to_the_agent():
    steps = scenario(BackupStep("sys", DiskRequest()), base=CAPTURE)
    machine = a_machine(1, steps.name)
    fleet = replace(a_fleet(machine), scenarios={steps.name: steps})
    assert plan(fleet, observed(), NOW).items[0].operation is not None


def test_two_names_of_images_that_are_one_on_a_machine_are_blocked():
    steps = scenario(BackupStep("sys", FROM_SYS), BackupStep("sys", FROM_DAT), base=CAPTURE)
    assert item_of(steps).reason == (
        "two steps of capture-golden would write one image of this machine"
    )


# --- what the agent makes sure of -----------------------------------------------------


def selector(serial):
    return DiskSelector(serial=serial)


def test_the_agent_knows_the_disks_that_go_with_one():
    steps = (Backup("sys", selector("SYS")), Backup("data", selector("DAT")), Finish("stay"))
    assert captured_with(steps[0], steps, (SYS, DAT)) == (DAT,)
    assert captured_with(steps[1], steps, (SYS, DAT)) == (SYS,)
    restores = (Restore("sys", "a" * 64, SYS.identity), Restore("data", "d" * 64, DAT.identity))
    assert written_with(restores[0], restores, (SYS, DAT)) == ((restores[1], DAT),)
    assert captured_with(steps[0], (), (SYS, DAT)) == ()


def test_two_images_of_other_partitions_of_one_disk_are_no_conflict():
    one = Backup("sys", selector("SYS"), partitions=(1,))
    two = Backup("home", selector("SYS"), partitions=(2, 3))
    assert captured_with(one, (one, two), (SYS, DAT)) == ()
    with pytest.raises(TerminalError, match="mean the same disk"):
        captured_with(one, (one, attrs.evolve(two, partitions=(1, 2))), (SYS, DAT))
    steps = [BackupStep("sys", FROM_SYS, partitions=(1,)), BackupStep("home", FROM_SYS)]
    blocked = item_of(scenario(*steps, base=CAPTURE))
    assert "would be of the same disk" in blocked.reason
    steps[1] = steps[1]._replace(partitions=(2,))
    assert item_of(scenario(*steps, base=CAPTURE)).operation is not None


@pytest.mark.parametrize(
    "steps",
    [
        (Backup("sys", selector("SYS")), Backup("data", DiskSelector(path=SYS.identity.path))),
        (Backup("sys", selector("SYS")), Backup("sys", selector("SYS"))),
    ],
)
def test_the_agent_reads_no_disk_that_two_steps_mean(steps):
    disks = (SYS, a_disk("DAT", identity=attrs.evolve(DAT.identity, path="pci-1")))
    with pytest.raises(TerminalError, match="mean the same disk: /dev/vda") as caught:
        captured_with(steps[0], steps, disks)
    assert caught.value.code == "RW588"


def test_the_agent_writes_no_disk_that_two_steps_mean():
    restores = (Restore("sys", "a" * 64, SYS.identity), Restore("data", "d" * 64, SYS.identity))
    with pytest.raises(TerminalError, match="images sys and data mean the same disk") as caught:
        written_with(restores[0], restores, (SYS, DAT))
    assert caught.value.code == "RW588"


# --- documents ------------------------------------------------------------------------

HEAD = "apiVersion: rackwright/v1alpha1\n"
IMAGES = "".join(f"{HEAD}kind: Image\nmetadata: {{name: {name}}}\n---\n" for name in ("sys", "dat"))


SYS_OF_A = "backup: {image: sys, disk: {serial: A}}"


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        ((SYS_OF_A, "backup: {image: dat, disk: {serial: B}}"), []),
        (("backup: {image: sys}", "backup: {image: dat, disk: {serial: B}}"), []),
        (("backup: {image: sys, partitions: [1]}", "backup: {image: dat, partitions: [2]}"), []),
        (
            ("backup: {image: sys}", "backup: {image: dat}"),
            ["15:15: RW166 spec.steps[1].backup: it means the same disk as spec.steps[0]"],
        ),
        (
            (
                "restore: {image: sys, disk: {serial: A}}",
                "restore: {image: dat, disk: {role: system, serial: A}}",
            ),
            ["15:35: RW166 spec.steps[1].restore: it means the same disk as spec.steps[0]"],
        ),
        (
            (SYS_OF_A, "backup: {image: sys, disk: {serial: B}}"),
            ["15:23: RW167 spec.steps[1].backup.image: spec.steps[0] backs up another disk to sys"],
        ),
    ],
)
def test_steps_that_certainly_mean_one_disk_or_one_image_are_no_valid_scenario(steps, problems):
    lines = "".join(f"    - {step}\n" for step in steps)
    text = f"{IMAGES}{HEAD}kind: Scenario\nmetadata: {{name: s}}\nspec:\n  steps:\n{lines}"
    result = compile_fleet({"x.yaml": text.encode()}, "f00d")
    found = [str(each).splitlines()[0] for each in result.diagnostics]
    assert [each for each in found if "RW166" in each or "RW167" in each] == [
        f"x.yaml:{each}" for each in problems
    ]


def test_identity_is_asked_for_only_of_disks_with_a_system():
    item = item_of(scenario(RESTORE_SYS, RESTORE_DAT), SYSTEM, DATA)
    steps = item.operation.instructions.steps
    assert [step.disk for step in steps if isinstance(step, ApplyIdentity)] == [SYS.identity]
