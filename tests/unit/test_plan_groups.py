from dataclasses import replace
from datetime import timedelta

from builders.world import NOW, a_disk, a_fleet, a_machine, an_image, observed, ramdisk
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.groups import KEPT_NAMES, KEPT_REASONS, Reason, group_items
from reconciler.planning.item import RISKS, PlanItem, Risk
from reconciler.planning.planner import plan
from reconciler.planning.summary import summarize
from specs.diagnostics.position import Position
from specs.fleet import Origin

CAUSE = Origin(Position("groups.yaml", 3, 5), ("tokyo",))


def an_item(name="node-01", **changes):
    values = {
        "machine": name,
        "group": "tokyo/row1",
        "risk": Risk.BLOCKED,
        "action": "clone",
        "reason": "no image",
        "cause": CAUSE,
        "unblock": "Capture it",
    }
    return PlanItem(**{**values, **changes})


items = st.lists(
    st.builds(
        an_item,
        st.text("ab", min_size=1, max_size=4),
        group=st.sampled_from(["", "tokyo", "tokyo/row1", "tokyo/row2", "osaka/row1/rack1"]),
        risk=st.sampled_from(RISKS),
        action=st.sampled_from(["clone", "inspect"]),
        reason=st.sampled_from("pqrstuvwxyz"),
        cause=st.sampled_from([None, CAUSE]),
        observed_at=st.sampled_from([None, NOW, NOW - timedelta(hours=1)]),
    ),
    max_size=40,
)


def restores(count):
    """Return a plan that overwrites one disk each of so many machines."""
    nodes = [a_machine(number, "clone-golden") for number in range(1, count + 1)]
    seen = {node.name: ramdisk(node, a_disk(node.name)) for node in nodes}
    return plan(a_fleet(*nodes), observed(seen, (an_image(),)), NOW)


def test_items_of_one_risk_action_cause_and_group_are_one_fold():
    elsewhere = Origin(Position("groups.yaml", 9, 5))
    found = group_items(
        [
            an_item("c"),
            an_item("a"),
            an_item("b", group="tokyo/row2"),
            an_item("d", cause=elsewhere),
            an_item("e", risk=Risk.UNKNOWN),
            an_item("f", action="inspect"),
        ]
    )
    assert [(each.risk, each.action, each.group, each.names) for each in found] == [
        ("BLOCKED", "clone", "tokyo/row1", ("a", "c")),
        ("BLOCKED", "clone", "tokyo/row1", ("d",)),
        ("BLOCKED", "clone", "tokyo/row2", ("b",)),
        ("BLOCKED", "inspect", "tokyo/row1", ("f",)),
        ("UNKNOWN", "clone", "tokyo/row1", ("e",)),
    ]


def test_a_destructive_fold_counts_disks_bytes_and_what_has_no_backup():
    (each,) = restores(3).groups
    assert (each.count, each.to_start, each.disks, each.disks_without_backup) == (3, 3, 3, 3)
    assert each.bytes_to_move == 3 * 400 * 1024 * 1024
    assert each.slowest_seconds == 180 + 5
    assert (each.oldest, each.newest, each.never_observed) == (NOW, NOW, 0)
    assert each.images == ("debian12 aaaaaaaaaaaa",)


def test_the_most_common_reason_comes_first():
    (each,) = group_items([an_item("a", reason="rare"), an_item("b"), an_item("c")])
    assert each.reasons == (Reason("no image", 2, "Capture it"), Reason("rare", 1, "Capture it"))


def test_too_many_wordings_of_what_is_unblocked_alike_count_as_one_reason():
    said = [an_item(f"n{n:02}", reason=f"disk {n:02} is full") for n in range(KEPT_REASONS + 1)]
    (each,) = group_items([*said, an_item("x", reason="held", unblock="Wait")])
    assert each.reasons == (
        Reason("disk 00 is full", KEPT_REASONS + 1, "Capture it", KEPT_REASONS + 1),
        Reason("held", 1, "Wait"),
    )


def test_another_operation_makes_another_digest_and_another_time_does_not():
    first, second = restores(1).groups[0], restores(1).groups[0]
    assert first.digest == second.digest
    (item,) = first.items
    moved = replace(item, operation=replace(item.operation, op_id="f" * 32))
    assert group_items([moved])[0].digest != first.digest
    assert group_items([replace(item, observed_at=None)])[0].digest == first.digest


@given(items)
def test_folds_do_not_depend_on_the_order_of_items_and_lose_none(given_items):
    found = group_items(given_items)
    assert found == group_items(reversed(given_items))
    assert sum(each.count for each in found) == len(given_items)
    assert sorted(item.line for each in found for item in each.items) == sorted(
        item.line for item in given_items
    )


@given(items)
def test_a_plan_group_names_its_first_items(given_items):
    for each in group_items(given_items):
        assert each.names == tuple(sorted(item.name for item in each.items))[:KEPT_NAMES]


@given(items, st.integers(1, 12))
def test_rows_lose_no_item_keep_the_order_of_risks_and_fit(given_items, limit):
    groups = group_items(given_items)
    rows = summarize(groups, limit)
    assert sum(row.count for row in rows) == len(given_items)
    places = [RISKS.index(row.risk) for row in rows]
    assert places == sorted(places)
    assert len(rows) <= max(limit, len(set(places)))
    for row in rows:
        assert all(
            each.group == row.group or not row.group or each.group.startswith(f"{row.group}/")
            for each in row.members
        )


def test_the_destructive_are_rolled_up_last():
    risky = [
        an_item(f"d{n}", risk=Risk.DESTRUCTIVE, group=f"tokyo/row{n}", unblock="") for n in range(4)
    ]
    waiting = [an_item(f"b{n}", group=f"osaka/row{n}") for n in range(9)]
    rows = summarize(group_items([*risky, *waiting]), 5)
    assert [(row.risk, row.group, row.count) for row in rows] == [
        *[(Risk.DESTRUCTIVE, f"tokyo/row{n}", 1) for n in range(4)],
        (Risk.BLOCKED, "osaka", 9),
    ]
    rows = summarize(group_items([*risky, *waiting]), 2)
    assert [(row.group, row.count) for row in rows] == [("tokyo", 4), ("osaka", 9)]


def test_groups_roll_up_to_the_nearest_ancestor_that_fits():
    spread = [
        an_item(f"{site}{row}{rack}", group=f"{site}/row{row}/rack{rack}")
        for site in ("osaka", "tokyo")
        for row in range(3)
        for rack in range(4)
    ]
    rows = summarize(group_items(spread), 6)
    assert [row.group for row in rows] == [
        f"{site}/row{row}" for site in ("osaka", "tokyo") for row in range(3)
    ]
    assert [row.group for row in summarize(group_items(spread), 5)] == ["osaka", "tokyo"]
    assert [row.group for row in summarize(group_items(spread), 1)] == [""]
