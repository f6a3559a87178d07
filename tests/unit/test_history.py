"""A machine's history follows its hardware, whatever Git calls it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    a_status,
    an_image,
    observed,
    ramdisk,
)
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.lint import broken_invariants
from reconciler.planning.plan import Risk
from reconciler.planning.planner import former_name, history_of, plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.views.plan_html import plan_html
from reconciler.views.plan_json import plan_document

MACS = ("52:54:00:77:00:01", "52:54:00:77:00:a1", "52:54:00:77:00:b1")
UUID = "77000000-0000-4000-8000-000000000001"
OTHER_UUID = "77000000-0000-4000-8000-0000000000ff"
NODE = a_machine(1, "clone-golden", macs=MACS, uuid=UUID)


def operations_of(*machines, state=OperationState.VERIFIED, **changes):
    """Return the operations that clone these machines, each in this state."""
    world = ready(*machines)
    made = plan(a_fleet(*machines), world, NOW)
    return tuple(a_status(item.operation, state, **changes) for item in made.to_apply)


def ready(*machines, operations=()):
    """Return a world in which nothing but history keeps these machines from being cloned."""
    seen = {machine.name: ramdisk(machine, a_disk(machine.name)) for machine in machines}
    return observed(seen, (an_image(),), operations)


def started(machine, operations):
    """Return what the plan would start on this one machine."""
    return plan(a_fleet(machine), ready(machine, operations=operations), NOW).to_apply


def test_without_its_history_the_machine_would_be_cloned():
    assert [item.risk for item in started(NODE, ())] == [Risk.DESTRUCTIVE]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"uuid": ""}, {"uuid": UUID}),
        ({"uuid": UUID}, {"uuid": ""}),
        ({"uuid": UUID}, {"uuid": OTHER_UUID}),
        ({"uuid": ""}, {"uuid": "", "macs": MACS[::-1]}),
        ({"uuid": "", "macs": MACS[:1]}, {"uuid": UUID, "macs": MACS[::-1]}),
        ({}, {"name": "compute-1", "hostname": "compute-1"}),
        ({}, {"group": "osaka", "groups": ("osaka",)}),
        (
            {"uuid": UUID, "macs": MACS[:1]},
            {"uuid": OTHER_UUID, "macs": MACS[1:], "formerly": (f"uuid:{UUID}",)},
        ),
        (
            {"uuid": "", "macs": MACS[:1]},
            {"uuid": OTHER_UUID, "macs": MACS[1:], "formerly": (f"mac:{MACS[0]}",)},
        ),
    ],
    ids=[
        "uuid added",
        "uuid removed",
        "uuid corrected",
        "macs reordered",
        "all at once",
        "renamed",
        "moved to another group",
        "board swapped",
        "everything swapped",
    ],
)
def test_a_verified_run_is_not_repeated_when_the_document_changes(before, after):
    first = replace(NODE, **before)
    then = replace(first, **after)
    assert started(then, operations_of(first)) == ()


def test_other_hardware_under_the_same_name_has_no_history():
    new = replace(NODE, uuid=OTHER_UUID, macs=("52:54:00:77:00:ff",))
    assert [item.risk for item in started(new, operations_of(NODE))] == [Risk.DESTRUCTIVE]


def test_a_failed_run_still_waits_for_a_person_after_a_rename():
    failed = operations_of(NODE, state=OperationState.FAILED, reason="RW410: corrupt.")
    renamed = replace(NODE, name="compute-1")
    (item,) = plan(a_fleet(renamed), ready(renamed, operations=failed), NOW).items
    assert (item.risk, item.operation) == (Risk.BLOCKED, None)


def test_an_operation_under_way_is_the_renamed_machines_and_no_contradiction():
    renamed = replace(NODE, name="compute-1")
    running = operations_of(NODE, state=OperationState.STARTED)
    made = plan(a_fleet(renamed), ready(renamed, operations=running), NOW)
    assert [(item.machine, item.running) for item in made.items] == [("compute-1", True)]
    assert broken_invariants(made) == ()


def test_two_machines_that_continue_the_same_hardware_are_blocked_by_name():
    former = (f"uuid:{UUID}",)
    heirs = [
        replace(NODE, name=name, uuid=f"{OTHER_UUID[:-1]}{number}", macs=(mac,), formerly=former)
        for number, (name, mac) in enumerate([("heir-a", MACS[1]), ("heir-b", MACS[2])])
    ]
    history = operations_of(replace(NODE, macs=MACS[:1]))
    made = plan(a_fleet(*heirs), ready(*heirs, operations=history), NOW)
    assert [item.risk for item in made.items] == [Risk.BLOCKED, Risk.BLOCKED]
    assert made.to_apply == ()
    op_id = history[0].operation.op_id[:12]
    assert made.items[0].reason == (
        f"RW750: operation {op_id} (verified) was for hardware uuid:{UUID}, and heir-a and "
        "heir-b share it"
    )
    assert made.items[0].unblock == (
        "Say in spec.hardware.formerly which of them continues it, or give the assignment a "
        "new run token to run it here"
    )


def test_a_new_run_token_ends_the_dispute():
    again = (replace(NODE.assignments[0], run="2"),)
    heirs = [
        replace(NODE, name=name, uuid="", macs=(mac,), assignments=again)
        for name, mac in [("heir-a", MACS[0]), ("heir-b", MACS[1])]
    ]
    history = operations_of(replace(NODE, uuid=""))
    made = plan(a_fleet(*heirs), ready(*heirs, operations=history), NOW)
    assert [item.risk for item in made.to_apply] == [Risk.DESTRUCTIVE, Risk.DESTRUCTIVE]


def test_a_network_card_that_moved_takes_no_history_along():
    node = replace(NODE, macs=MACS[:1])
    other = a_machine(2, "clone-golden", macs=("52:54:00:77:00:02", MACS[1]))
    made = plan(a_fleet(node, other), ready(node, other, operations=operations_of(NODE)), NOW)
    assert [item.machine for item in made.to_apply] == ["node-02"]


def test_a_board_that_is_in_use_and_claimed_as_former_belongs_to_nobody_for_certain():
    heir = a_machine(2, formerly=(f"uuid:{UUID}",))
    fleet = FleetHardware([NODE, heir])
    assert fleet.owners((f"uuid:{UUID}",)) == ("node-01", "node-02")
    assert fleet.owner((f"uuid:{UUID}",)) is None


def test_inspections_keep_counting_under_another_identity():
    bare = replace(NODE, uuid="")
    (first,) = plan(a_fleet(bare), observed(images=(an_image(),)), NOW).to_apply
    done = (a_status(first.operation, OperationState.VERIFIED),)
    world = observed(images=(an_image(),), operations=done)
    (second,) = plan(a_fleet(NODE), world, NOW).to_apply
    assert (first.operation.run, second.operation.run) == ("1", "2")


# --- renames ---------------------------------------------------------------------------


def reported_as(machine, name, at=NOW):
    return ObservedMachine(ramdisk=TimedReport(a_report(machine), at, name))


def renames(fleet, world):
    """Return the former and the present name of each renamed machine."""
    history = history_of(FleetHardware(fleet.machines.values()), world.operations)
    found = (
        (
            former_name(
                name, world.machines.get(name, ObservedMachine()), history.get(name, ((), ()))[0]
            ),
            name,
        )
        for name in fleet.machines
    )
    return tuple(each for each in found if each[0])


def test_a_machine_that_was_last_heard_under_another_name_is_renamed():
    now = replace(NODE, name="compute-1")
    world = observed({"compute-1": reported_as(NODE, "node-01")})
    found = renames(a_fleet(now), world)
    assert found == (("node-01", "compute-1"),)


def test_a_rename_is_over_once_something_was_heard_under_the_new_name():
    now = replace(NODE, name="compute-1")
    seen = reported_as(NODE, "node-01")
    seen = replace(seen, ramdisk_contact=NOW + timedelta(seconds=1), contact_name="compute-1")
    world = observed({"compute-1": seen}, operations=operations_of(NODE))
    assert renames(a_fleet(now), world) == ()


def test_the_ledger_alone_knows_the_earlier_name():
    now = replace(NODE, name="compute-1")
    world = observed(operations=operations_of(NODE))
    assert renames(a_fleet(now), world) == (("node-01", "compute-1"),)


def test_two_machines_that_swap_names_are_two_renames():
    one, two = NODE, a_machine(2, "clone-golden")
    history = operations_of(one, two)
    swapped = a_fleet(replace(one, name="node-02"), replace(two, name="node-01"))
    found = renames(swapped, observed(operations=history))
    assert sorted(found) == [
        ("node-01", "node-02"),
        ("node-02", "node-01"),
    ]


def test_machines_that_keep_their_names_are_no_renames():
    world = observed({NODE.name: reported_as(NODE, NODE.name)}, operations=operations_of(NODE))
    assert renames(a_fleet(NODE), world) == ()


def test_the_plan_names_the_earlier_name_of_a_machine_that_has_work():
    now = replace(NODE, name="compute-1")
    seen = ramdisk(NODE, a_disk())
    seen = replace(seen, ramdisk=replace(seen.ramdisk, machine="node-01"), contact_name="node-01")
    world = observed({"compute-1": seen}, (an_image(),))
    made = plan(a_fleet(now), world, NOW)
    (item,) = made.items
    assert (item.name, item.formerly, item.title) == (
        "compute-1",
        "node-01",
        "compute-1 (was node-01)",
    )
    unnamed = plan(
        a_fleet(now), observed({"compute-1": ramdisk(NODE, a_disk())}, (an_image(),)), NOW
    )
    assert [each.formerly for each in unnamed.items] == [""]
    assert made.digest == unnamed.digest
    html = "\n".join(plan_html(made, "main", NOW))
    assert "<td>compute-1 (was node-01)</td>" in html
    assert plan_document(made)["items"][0]["formerly"] == "node-01"


def test_work_under_way_names_what_the_machine_was_called_when_it_was_approved():
    now = replace(NODE, name="compute-1")
    history = operations_of(NODE, state=OperationState.STARTED)
    (item,) = plan(a_fleet(now), ready(now, operations=history), NOW).items
    assert (item.running, item.title) == (True, "compute-1 (was node-01)")


# --- whatever happens to the documents ---------------------------------------------------


def renamed(machine, data):
    name = f"name-{data.draw(st.integers(0, 3))}-{machine.name[-2:]}"
    return replace(machine, name=name, hostname=name)


def reordered(machine, data):
    return replace(machine, macs=tuple(data.draw(st.permutations(machine.macs))))


def with_a_uuid(machine, data):
    del data
    return replace(machine, uuid=machine.uuid or f"{UUID[:-2]}{machine.macs[0][-2:]}")


def with_another_card(machine, data):
    mac = f"52:54:01:{data.draw(st.integers(0, 255)):02x}:00:{machine.macs[0][-2:]}"
    return replace(machine, macs=tuple(dict.fromkeys((*machine.macs, mac))))


def moved(machine, data):
    group = data.draw(st.sampled_from(["tokyo", "osaka/row2"]))
    return replace(machine, group=group, groups=(group,))


def with_another_board(machine, data):
    del data
    board = int(machine.uuid[-4:-2], 16) + 1 if machine.uuid else 1
    macs = tuple(f"52:54:02:{board:02x}{mac[11:]}" for mac in machine.macs)
    uuid = f"{UUID[:-4]}{board:02x}{machine.macs[0][-2:]}"
    return replace(machine, uuid=uuid, macs=macs, formerly=machine.hardware_identities)


CHANGES = (renamed, reordered, with_a_uuid, with_another_card, moved, with_another_board)


@given(data=st.data(), had_uuids=st.booleans(), state=st.sampled_from(["verified", "failed"]))
def test_no_sequence_of_document_changes_starts_work_again(data, had_uuids, state):
    machines = [
        a_machine(
            number,
            "clone-golden",
            macs=(f"52:54:00:77:00:{number:02x}", f"52:54:00:77:01:{number:02x}"),
            **({} if had_uuids else {"uuid": ""}),
        )
        for number in (1, 2)
    ]
    history = operations_of(*machines, state=OperationState(state))
    assert len(history) == 2
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=8)):
        index = data.draw(st.integers(0, 1))
        machines[index] = change(machines[index], data)
    swapped = [replace(machines[0], name=machines[1].name), replace(machines[1], name="x")]
    for fleet in (machines, swapped):
        made = plan(a_fleet(*fleet), ready(*fleet, operations=history), NOW)
        assert made.to_apply == ()
