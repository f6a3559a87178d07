"""Which level's value a machine gets, and how it is told where the value came from.

The table is the one in ``docs/reference/inheritance.md``.
"""

import pytest

from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import Position
from specs.fleet import CompiledMachine, Origin

HEAD = "apiVersion: rackwright/v1alpha1\n"
BASE = "---\n".join(
    [
        *(
            f"{HEAD}kind: Network\nmetadata: {{name: {name}}}\n"
            f"spec: {{subnet: 10.{number}.0.0/24, domain: {name}.example.net}}\n"
            for number, name in enumerate(("lan", "lan-a", "lan-b"))
        ),
        *(
            f"{HEAD}kind: Scenario\nmetadata: {{name: {name}}}\n"
            "spec: {steps: [{inspectDisks: {}}]}\n"
            for name in ("s1", "s2", "s3")
        ),
    ]
)


def machine_of(**levels: str) -> CompiledMachine:
    """Compile one machine in a/b/c whose levels have these specs: ``a``, ``b``, ``c``, ``own``.

    ``labels`` are the machine's labels. Each level is a file of its own.
    """
    files = {"base.yaml": BASE}
    for name, path in (("a", "a"), ("b", "a/b"), ("c", "a/b/c")):
        spec = levels.get(name, "{}")
        files[f"{name}.yaml"] = f"{HEAD}kind: Group\nmetadata: {{name: {path}}}\nspec: {spec}\n"
    files["m.yaml"] = (
        f"{HEAD}kind: Machine\nmetadata: {{name: m, labels: {levels.get('labels', '{}')}}}\n"
        f"spec: {{group: a/b/c, hardware: {{macs: ['52:54:00:00:00:01']}}"
        f"{levels.get('own', '')}}}\n"
    )
    result = compile_fleet({name: text.encode() for name, text in files.items()}, "r")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet.machines["m"]


NETWORK = "{network: lan}"


@pytest.mark.parametrize(
    ("levels", "field", "value"),
    [
        ({"a": "{network: lan}"}, "network", "lan"),
        ({"a": "{network: lan}", "c": "{network: lan-a}"}, "network", "lan-a"),
        ({"a": "{network: lan}", "b": "{network: lan-a}"}, "network", "lan-a"),
        ({"a": "{network: lan}", "own": ", network: lan-b"}, "network", "lan-b"),
        ({"a": NETWORK}, "power_driver", "manual"),
        ({"a": "{network: lan, power: {driver: wake-on-lan}}"}, "power_driver", "wake-on-lan"),
        (
            {"a": "{network: lan, power: {driver: wake-on-lan}}", "b": "{power: {driver: manual}}"},
            "power_driver",
            "manual",
        ),
        (
            {
                "a": "{network: lan, power: {driver: manual}}",
                "own": ", power: {driver: wake-on-lan}",
            },
            "power_driver",
            "wake-on-lan",
        ),
        ({"a": NETWORK}, "domain", "lan.example.net"),
        ({"a": "{network: lan, identity: {domain: a.net}}"}, "domain", "a.net"),
        (
            {"a": "{network: lan, identity: {domain: a.net}}", "c": "{identity: {domain: c.net}}"},
            "domain",
            "c.net",
        ),
        (
            {
                "a": "{network: lan, identity: {domain: a.net}}",
                "own": ", identity: {domain: Own.NET}",
            },
            "domain",
            "own.net",
        ),
        ({"a": NETWORK, "own": ", protect: false"}, "protect", False),
        ({"a": NETWORK}, "protect", None),
        ({"a": "{network: lan, protect: true}"}, "protect", True),
        ({"a": "{network: lan, protect: true}", "c": "{protect: false}"}, "protect", False),
        ({"a": "{network: lan, protect: true}", "own": ", protect: false"}, "protect", False),
        ({"a": NETWORK}, "drift", "report"),
        ({"a": "{network: lan, drift: off}"}, "drift", "off"),
        ({"a": "{network: lan, drift: off}", "c": "{drift: report}"}, "drift", "report"),
        ({"a": NETWORK, "own": ", drift: off"}, "drift", "off"),
        ({"a": NETWORK}, "labels", {}),
        (
            {"a": "{network: lan, labels: {x: far}}", "b": "{labels: {x: near}}"},
            "labels",
            {"x": "near"},
        ),
        (
            {
                "a": "{network: lan, labels: {site: tokyo, role: any}}",
                "c": "{labels: {rack: 7}}",
                "labels": "{role: compute}",
            },
            "labels",
            {"rack": "7", "role": "compute", "site": "tokyo"},
        ),
        ({"a": NETWORK}, "hostname", "m"),
        ({"a": NETWORK, "own": ", identity: {hostname: M1}"}, "hostname", "M1"),
    ],
)
def test_each_field_comes_from_the_level_that_the_table_says(
    levels: dict[str, str], field: str, value: object
) -> None:
    assert getattr(machine_of(**levels), field) == value


S1 = "assign: [{scenario: s1, run: 1}, {scenario: s2, run: 1}]"
S2 = "assign: [{scenario: s3, run: 2}]"


@pytest.mark.parametrize(
    ("levels", "assigned"),
    [
        ({"a": NETWORK}, []),
        ({"a": f"{{network: lan, {S1}}}"}, ["s1", "s2"]),
        ({"a": f"{{network: lan, {S1}}}", "b": f"{{{S2}}}"}, ["s3"]),
        ({"a": f"{{network: lan, {S1}}}", "own": f", {S2}"}, ["s3"]),
        ({"a": f"{{network: lan, {S1}}}", "own": ", assign: []"}, []),
        ({"a": f"{{network: lan, {S1}}}", "c": "{assign: []}"}, []),
    ],
)
def test_the_nearest_assign_list_replaces_the_others(
    levels: dict[str, str], assigned: list[str]
) -> None:
    machine = machine_of(**levels)
    assert [assignment.scenario for assignment in machine.assignments] == assigned
    fields = [field for field in machine.origins if field.startswith("assign")]
    assert fields == [f"assign[{index}]" for index in range(len(assigned))]


def test_every_field_that_was_set_knows_where_and_along_which_groups() -> None:
    machine = machine_of(
        a="{network: lan, labels: {site: tokyo, role: any}, power: {driver: manual}}",
        b="{identity: {domain: b.net}, protect: true, assign: [{scenario: s1, run: 1}]}",
        labels="{role: compute}",
        own=", identity: {hostname: m1, addresses: [10.0.0.5/24]}",
    )
    from_a, from_b = ("a", "a/b", "a/b/c"), ("a/b", "a/b/c")
    assert dict(machine.origins) == {
        "group": Origin(Position("m.yaml", 4, 15)),
        "hardware.macs": Origin(Position("m.yaml", 4, 39)),
        "identity.hostname": Origin(Position("m.yaml", 4, 84)),
        "identity.addresses": Origin(Position("m.yaml", 4, 99)),
        "labels.role": Origin(Position("m.yaml", 3, 36)),
        "network": Origin(Position("a.yaml", 4, 17), from_a),
        "labels.site": Origin(Position("a.yaml", 4, 37), from_a),
        "power.driver": Origin(Position("a.yaml", 4, 72), from_a),
        "identity.domain": Origin(Position("b.yaml", 4, 27), from_b),
        "protect": Origin(Position("b.yaml", 4, 44), from_b),
        "assign[0]": Origin(Position("b.yaml", 4, 59), from_b),
    }
    assert machine.assignments[0].origin == machine.origins["assign[0]"]


def test_an_own_assignment_has_an_origin_without_groups() -> None:
    machine = machine_of(a=NETWORK, own=", assign: [{scenario: s1, run: 1}]")
    (assignment,) = machine.assignments
    assert assignment.origin == Origin(Position("m.yaml", 4, 72))
    assert machine.origins["assign[0]"] == assignment.origin


def test_a_group_in_between_need_not_be_written() -> None:
    files = {
        "base.yaml": BASE,
        "g.yaml": f"{HEAD}kind: Group\nmetadata: {{name: a}}\nspec: {{network: lan}}\n---\n"
        f"{HEAD}kind: Group\nmetadata: {{name: a/b/c}}\n",
        "m.yaml": f"{HEAD}kind: Machine\nmetadata: {{name: m}}\n"
        "spec: {group: a/b/c, hardware: {macs: ['52:54:00:00:00:01']}}\n",
    }
    result = compile_fleet({name: text.encode() for name, text in files.items()}, "r")
    assert result.fleet is not None
    machine = result.fleet.machines["m"]
    assert machine.network == "lan"
    assert machine.origins["network"].path == ("a", "a/b", "a/b/c")
