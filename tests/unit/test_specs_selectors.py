"""Selectors, and what documents do with the machines that they pick."""

from datetime import UTC, datetime

import pytest

from specs.compile.fleet import CompileResult, compile_fleet
from specs.diagnostics.position import Position
from specs.fleet import CompiledFleet, CompiledHold, CompiledSelector, Origin
from specs.selection import Selection

HEAD = "apiVersion: rackwright/v1alpha1\n"
NETWORK = f"{HEAD}kind: Network\nmetadata: {{name: n}}\nspec: {{subnet: 10.0.0.0/8}}\n"
GROUPS = "---\n".join(
    f"{HEAD}kind: Group\nmetadata: {{name: {name}}}\nspec: {{network: n, labels: {labels}}}\n"
    for name, labels in [
        ("osaka/a/b", "{site: osaka}"),
        ("tokyo/row1", "{site: tokyo}"),
        ("tokyo/row2/rack07", "{site: tokyo}"),
    ]
)
SCENARIO = f"""{HEAD}kind: Scenario
metadata: {{name: look}}
spec:
  steps: [{{inspectDisks: {{}}}}]
"""


def machine(name: str, number: int, group: str, more: str = "") -> str:
    return (
        f"{HEAD}kind: Machine\nmetadata: {{name: {name}, labels: {{role: compute}}}}\n"
        f"spec:\n  group: {group}\n"
        f'  hardware: {{macs: ["52:54:00:00:00:{number:02x}"]}}\n{more}'
    )


FILES = {
    "network.yaml": NETWORK,
    "groups.yaml": GROUPS,
    "scenario.yaml": SCENARIO,
    "m1.yaml": machine("node-01", 1, "tokyo/row1"),
    "m2.yaml": machine("node-02", 2, "tokyo/row2/rack07"),
    "m3.yaml": machine("golden", 3, "osaka/a/b"),
}


def compiled(**files: str) -> CompileResult:
    texts = FILES | {f"{name}.yaml": text for name, text in files.items()}
    return compile_fleet({name: text.encode() for name, text in texts.items()}, "rev")


def fleet_of(**files: str) -> CompiledFleet:
    result = compiled(**files)
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def problems_of(**files: str) -> list[str]:
    return [str(problem) for problem in compiled(**files).diagnostics]


def hold(select: str, name: str = "h") -> str:
    return (
        f"{HEAD}kind: Hold\nmetadata: {{name: {name}}}\nspec:\n  select: {select}\n"
        "  until: 2026-12-01T06:00:00+09:00\n  owner: storage team\n  reason: new disks\n"
    )


def targeting(targets: str) -> str:
    return SCENARIO + f"  targets: {targets}\n"


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("{machines: [golden]}", {"golden"}),
        ("{machines: ['node-*']}", {"node-01", "node-02"}),
        ("{machines: ['node-0?', golden]}", {"node-01", "node-02", "golden"}),
        ("{machines: ['*']}", {"node-01", "node-02", "golden"}),
        ("{groups: [tokyo]}", {"node-01", "node-02"}),
        ("{groups: [tokyo/row2]}", {"node-02"}),
        ("{groups: ['tokyo/*']}", {"node-01", "node-02"}),
        ("{groups: ['*/a']}", {"golden"}),
        ("{groups: ['**/b']}", {"golden"}),
        ("{groups: ['tok*']}", {"node-01", "node-02"}),
        ("{labels: {site: tokyo}}", {"node-01", "node-02"}),
        ("{labels: {site: [osaka, tokyo]}}", {"node-01", "node-02", "golden"}),
        ("{labels: {site: tokyo, role: compute}, machines: ['*2']}", {"node-02"}),
        ("{groups: [osaka], machines: ['*'], labels: {role: compute}}", {"golden"}),
    ],
)
def test_all_parts_of_a_selector_must_match(select: str, names: set[str]) -> None:
    machines = fleet_of(hold=hold(select)).machines.values()
    assert {machine.name for machine in machines if machine.holds == ("h",)} == names


def test_a_star_stays_within_one_part_of_a_path() -> None:
    groups = ("a", "a/b", "a/b/c")
    assert Selection(CompiledSelector(groups=("a/*/c",)), groups).matches("m", "a/b/c", {})
    assert not Selection(CompiledSelector(groups=("*/c",)), groups).matches("m", "a/b/c", {})


def test_a_group_that_only_begins_like_another_is_not_below_it() -> None:
    groups = ("row1", "row10")
    assert not Selection(CompiledSelector(groups=("row1",)), groups).matches("m", "row10", {})


def test_a_hold_says_which_machines_until_when_and_why() -> None:
    fleet = fleet_of(hold=hold("{groups: [osaka]}"))
    assert fleet.machines["golden"].holds == ("h",)
    assert fleet.holds == (
        CompiledHold(
            name="h",
            until=datetime(2026, 11, 30, 21, tzinfo=UTC),
            owner="storage team",
            reason="new disks",
            position=Position("hold.yaml", 3, 18),
        ),
    )


@pytest.mark.parametrize(
    ("select", "hint"),
    [
        ("{machines: [nod-01]}", 'there is no machine "nod-01"; did you mean "node-01"?'),
        ("{groups: [tokio]}", 'there is no group "tokio"; did you mean "tokyo"?'),
        ("{labels: {roll: compute}}", 'there is no label "roll"; did you mean "role"?'),
        (
            "{labels: {role: computer}}",
            'there is no label role of value "computer"; did you mean "compute"?',
        ),
        ("{groups: ['kyoto/**']}", 'nothing fits "kyoto/**"'),
        (
            "{groups: [osaka], labels: {site: tokyo}}",
            "all parts must match one machine; each alone matches some",
        ),
    ],
)
def test_a_selector_that_matches_no_machine_is_a_warning_with_a_guess(
    select: str, hint: str
) -> None:
    result = compiled(hold=hold(select))
    assert [str(problem) for problem in result.diagnostics] == [
        f"hold.yaml:5:11: RW152 warning: spec.select: no machine matches\n    hint: {hint}"
    ]
    assert result.fleet is not None
    assert not any(machine.holds for machine in result.fleet.machines.values())


def test_nothing_is_said_of_unmatched_selectors_while_there_are_errors() -> None:
    found = problems_of(hold=hold("{machines: [x]}"), bad=f"{HEAD}kind: Nothing\n")
    assert [line.split(" ")[1] for line in found] == ["RW122"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            hold("{}"),
            (
                "x.yaml:5:11: RW151 spec.select: the selector is empty\n"
                '    hint: add machines, groups or labels; all machines are: machines: ["*"]'
            ),
        ),
        (
            hold("{machines: []}"),
            (
                "x.yaml:5:22: RW128 spec.select.machines: must not be empty\n"
                "    hint: Names or patterns; one of them must match. * stands for any "
                "characters, ? for one."
            ),
        ),
        (
            hold("{groups: [/a]}"),
            (
                'x.yaml:5:21: RW128 spec.select.groups[0]: "/a" is neither a group\'s path nor a '
                "pattern\n"
                "    hint: for example tokyo/row2, tokyo/*/rack07 or osaka/**; a group means all "
                "below it"
            ),
        ),
        (
            hold("{machines: [Node]}"),
            (
                'x.yaml:5:23: RW128 spec.select.machines[0]: "Node" is neither a machine\'s name '
                "nor a pattern\n"
                '    hint: lower-case letters, digits and "-"; * for any of them, ? for one; for '
                "example node-07*"
            ),
        ),
        (
            hold("{machines: ['*']}").replace("+09:00", ""),
            (
                'x.yaml:6:10: RW128 spec.until: "2026-12-01T06:00:00" says no offset from UTC\n'
                "    hint: for example 2026-12-01T06:00:00+09:00, or with Z for UTC"
            ),
        ),
        (
            hold("{machines: ['*']}").replace("12-01", "11-31"),
            (
                'x.yaml:6:10: RW128 spec.until: "2026-11-31T06:00:00+09:00" does not exist\n'
                "    hint: look at the calendar"
            ),
        ),
        (
            hold("{machines: ['*']}").replace("2026-12-01T06:00:00+09:00", "tomorrow"),
            (
                'x.yaml:6:10: RW128 spec.until: "tomorrow" is not a moment\n'
                "    hint: for example 2026-12-01T06:00:00+09:00, or with Z for UTC"
            ),
        ),
    ],
)
def test_malformed_selectors_and_holds_are_refused(text: str, problem: str) -> None:
    assert problems_of(x=text) == [problem]


def test_a_target_assigns_its_scenario_after_what_is_assigned() -> None:
    other = targeting("[{select: {labels: {site: tokyo}}, run: 7}]").replace("look", "other")
    fleet = fleet_of(
        m1=machine("node-01", 1, "tokyo/row1", "  assign: [{scenario: look, run: 1}]\n"),
        other=other,
    )
    first, second = fleet.machines["node-01"].assignments
    assert (first.scenario, first.run) == ("look", "1")
    assert (second.scenario, second.run) == ("other", "7")
    assert second.origin == Origin(Position("other.yaml", 6, 13))
    assert fleet.machines["node-01"].origins["assign[1]"] == second.origin
    assert [each.scenario for each in fleet.machines["node-02"].assignments] == ["other"]
    assert fleet.machines["golden"].assignments == ()


def test_a_target_changes_the_digest_of_its_machines_only() -> None:
    before = fleet_of()
    after = fleet_of(scenario=targeting("[{select: {machines: [golden]}, run: 1}]"))
    changed = [
        name
        for name in before.machines
        if before.machines[name].digest != after.machines[name].digest
    ]
    assert changed == ["golden"]
    assert before.scenarios["look"].digest == after.scenarios["look"].digest


def test_targets_follow_in_the_order_of_the_scenarios_names() -> None:
    every = "[{select: {machines: ['*']}, run: 1}]"
    fleet = fleet_of(
        a=targeting(every).replace("look", "zebra"), b=targeting(every).replace("look", "ape")
    )
    assert [each.scenario for each in fleet.machines["golden"].assignments] == ["ape", "zebra"]


def test_a_scenario_that_is_assigned_and_targeted_names_both_lines_once() -> None:
    assigned = GROUPS.replace("network: n,", "network: n, assign: [{scenario: look, run: 1}],")
    found = problems_of(
        groups=assigned, scenario=targeting("[{select: {groups: [tokyo/row1]}, run: 2}]")
    )
    assert found == [
        (
            'scenario.yaml:6:13: RW147 spec.targets[0]: machine "node-01" already has look from '
            "groups.yaml:9:29\n"
            "    hint: keep one of the two; to run it again, change its run token"
        )
    ]


def test_a_scenario_that_is_targeted_twice_counts_the_machines() -> None:
    targets = "[{select: {groups: [tokyo]}, run: 1}, {select: {machines: ['node*']}, run: 1}]"
    assert problems_of(scenario=targeting(targets)) == [
        (
            'scenario.yaml:6:50: RW147 spec.targets[1]: machine "node-01" and 1 more already have '
            "look from scenario.yaml:6:13\n"
            "    hint: keep one of the two; to run it again, change its run token"
        )
    ]


def test_a_target_without_machine_is_a_warning() -> None:
    found = problems_of(scenario=targeting("[{select: {machines: [gold]}, run: 1}]"))
    assert found == [
        (
            "scenario.yaml:6:22: RW152 warning: spec.targets[0].select: no machine matches\n"
            '    hint: there is no machine "gold"'
        )
    ]
