"""From a reviewed plan to the ledger: exactly it, all of it or nothing."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_status,
    an_image,
    observed,
    ramdisk,
)

from reconciler.app.reviewed_plan import select
from reconciler.errors import ReconcilerError, StateError
from reconciler.loop.approval import approve
from reconciler.planning.planner import plan
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from reconciler.views.plan_json import plan_document

NODES = tuple(a_machine(number, "clone-golden") for number in (1, 2))
FLEET = a_fleet(*NODES)
WORLD = observed({node.name: ramdisk(node, a_disk(node.name)) for node in NODES}, (an_image(),))
PLAN = plan(FLEET, WORLD, NOW)


@pytest.fixture
def planfile(tmp_path):
    return write(tmp_path / "plan.json", plan_document(PLAN))


def write(path, document):
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_a_reviewed_plan_is_carried_out_as_it_is(planfile):
    later = plan(FLEET, WORLD, NOW + timedelta(minutes=5))
    chosen, refused, _ = select(later, planfile)
    assert [item.machine for item in chosen] == ["node-01", "node-02"]
    assert refused == []


def test_what_came_into_the_plan_after_the_review_is_not_started(tmp_path):
    one = replace(FLEET, machines={"node-01": NODES[0]})
    reviewed = write(tmp_path / "plan.json", plan_document(plan(one, WORLD, NOW)))
    chosen, refused, _ = select(PLAN, reviewed)
    assert ([item.machine for item in chosen], refused) == (["node-01"], [])


def under_way(world):
    operation = PLAN.items[0].operation
    return replace(world, operations=(a_status(operation, OperationState.STARTED),))


@pytest.mark.parametrize(
    ("fleet", "world", "reason"),
    [
        (
            replace(FLEET, machines={"node-02": NODES[1]}),
            WORLD,
            "nothing is to be done there any more",
        ),
        (
            FLEET,
            replace(
                WORLD,
                machines={**WORLD.machines, "node-01": ramdisk(NODES[0], a_disk("other"))},
            ),
            "the review was of disk node-01, now it would overwrite other",
        ),
        (
            FLEET,
            replace(WORLD, machines={"node-02": WORLD.machines["node-02"]}),
            "the review was of restore, now it would inspect",
        ),
        (
            replace(
                FLEET,
                machines={**FLEET.machines, "node-01": replace(NODES[0], protect=True)},
            ),
            WORLD,
            (
                "it is BLOCKED now: the machine is protected, and clone-golden would overwrite its "
                "disk"
            ),
        ),
        (FLEET, under_way(WORLD), "it is under way there already"),
        (
            replace(
                FLEET,
                machines={
                    **FLEET.machines,
                    "node-01": replace(
                        NODES[0],
                        assignments=(replace(NODES[0].assignments[0], run="2"),),
                    ),
                },
            ),
            WORLD,
            "the scenario or its run token changed since the review",
        ),
    ],
    ids=["gone", "another disk", "forgotten", "protected", "under way", "another run"],
)
def test_a_machine_whose_plan_changed_is_refused_with_its_reason(planfile, fleet, world, reason):
    chosen, refused, _ = select(plan(fleet, world, NOW), planfile)
    assert [item.machine for item in chosen] == ["node-02"]
    assert refused == [("node-01", reason)]


def test_an_image_that_moved_since_the_review_is_named(planfile):
    moved = replace(WORLD, images={"debian12": an_image(manifest="b" * 64)})
    chosen, refused, _ = select(plan(FLEET, moved, NOW), planfile)
    assert chosen == ()
    assert refused[0][1] == (
        "the review was of image debian12 aaaaaaaaaaaa, now it would write debian12 bbbbbbbbbbbb"
    )


def test_a_plan_file_that_was_changed_after_the_review_is_refused(tmp_path):
    document = plan_document(PLAN)
    del document["items"][0]
    with pytest.raises(ReconcilerError) as refusal:
        select(PLAN, write(tmp_path / "plan.json", document))
    assert refusal.value.code == "RW920"
    assert refusal.value.cause == (
        f"{tmp_path / 'plan.json'} was changed after `plan` wrote it: "
        "its digest does not fit its items"
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "rackwright-plan/1"}, "its format is 'rackwright-plan/1', not "),
        ({"items": [{}]}, "items.0.fold: Field required"),
        ({"disks": "2"}, "disks: Input should be a valid integer"),
    ],
)
def test_a_file_that_is_no_plan_says_what_is_wrong_with_it(tmp_path, change, why):
    path = write(tmp_path / "plan.json", {**plan_document(PLAN), **change})
    with pytest.raises(ReconcilerError) as refusal:
        select(PLAN, path)
    assert refusal.value.code == "RW906"
    assert refusal.value.cause.startswith(f"{path} is no plan: {why}")


@pytest.fixture
def ledger(tmp_path):
    database = open_database(tmp_path / "state" / "rackwright.db")
    yield Ledger(database)
    database.close()


def test_an_approval_records_every_operation_with_the_plans_digest(ledger):
    run = approve(ledger, PLAN, PLAN.to_apply, "ada", NOW, reason="the disks are new")
    assert [status.state for status in ledger.operations()] == [OperationState.APPROVED] * 2
    newest = ledger.history(PLAN.items[0].operation.op_id)[-1]
    assert newest.actor == "ada"
    assert newest.reason == (
        f"run {run.run_id}, plan {PLAN.digest[:12]}: the disks are new; overwrites disk "
        f"{PLAN.items[0].operation.instructions.disks[0].key()}; may interrupt a running system"
    )


def test_an_approval_that_fails_for_one_machine_approves_none(ledger):
    approve(ledger, PLAN, PLAN.to_apply[1:], "bob", NOW)
    with pytest.raises(StateError, match=r"RW704: operation \w+ stands at approved"):
        approve(ledger, PLAN, PLAN.to_apply, "ada", NOW)
    (only,) = ledger.operations()
    assert only.operation.machine == "node-02"
