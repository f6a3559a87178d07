"""Where a value comes from, and what a code means."""

import pytest

from reconciler.authoring.explanation import chosen, explained, find_machine
from reconciler.authoring.rewrite import AuthoringError
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet

FILES = {
    "network.yaml": b"""\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: rack}
spec: {subnet: 10.0.0.0/24, domain: example.net}
""",
    "groups.yaml": b"""\
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: tokyo}
spec: {network: rack, labels: {site: tokyo}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: tokyo/row2}
spec:
  protect: true
  assign:
    - {scenario: look, run: a}
""",
    "scenario.yaml": b"""\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look}
spec: {steps: [{inspectDisks: {}}]}
""",
    "machine.yaml": b"""\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata:
  name: node-01
  labels: {role: compute}
spec:
  group: tokyo/row2
  hardware: {macs: ["02:00:00:00:00:01", "02:00:00:00:00:02"], serial: S1}
""",
}


def fleet() -> CompiledFleet:
    result = compile_fleet(FILES, "r")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def told() -> list[tuple[str, str, str, str]]:
    return [
        (each.field, each.value, str(each.position or "-"), each.reason)
        for each in explained(fleet(), fleet().machines["node-01"])
    ]


def test_every_effective_value_has_its_place_and_its_way() -> None:
    own, row = "the machine's own", "through group tokyo > tokyo/row2"
    assert told() == [
        ("hardware.macs", "02:00:00:00:00:01, 02:00:00:00:00:02", "machine.yaml:8:20", own),
        ("hardware.serial", "S1", "machine.yaml:8:72", own),
        ("identity.hostname", "node-01", "-", "default: the machine's name"),
        ("identity.domain", "example.net", "network.yaml:3:18", "from network rack"),
        ("identity.addresses", "DHCP", "-", "default: no fixed address is written"),
        ("group", "tokyo/row2", "machine.yaml:7:10", own),
        ("network", "rack", "groups.yaml:4:17", row),
        ("power.driver", "manual", "-", "default"),
        ("protect", "true", "groups.yaml:10:12", "through group tokyo/row2"),
        ("labels.role", "compute", "machine.yaml:5:18", own),
        ("labels.site", "tokyo", "groups.yaml:4:38", row),
        ("assign[0]", "look, run a", "groups.yaml:12:7", "through group tokyo/row2"),
        ("drift", "report", "-", "default"),
        ("waits.grant", "15m", "-", "default"),
        ("waits.silence", "10m", "-", "default"),
        ("waits.proof", "15m", "-", "default"),
        ("waits.wake", "20s", "-", "default"),
        ("waits.attempts", "5", "-", "default"),
        ("windows", "always", "-", "default"),
    ]


GIVEN = {
    "a.yaml": b"""\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: f}
spec: {defaults: {network: rack}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: rack}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look}
spec:
  targets:
    - {select: {machines: [x*]}, run: b}
  steps: [{inspectDisks: {}}]
---
apiVersion: rackwright/v1alpha1
kind: Hold
metadata: {name: move}
spec:
  select: {groups: [a]}
  until: 2026-12-01T12:00:00+09:00
  owner: ada
  reason: the rack moves
---
apiVersion: rackwright/v1alpha1
kind: Hold
metadata: {name: other}
spec: {select: {machines: [y]}, until: "2026-12-01T12:00:00Z", owner: ada, reason: none}
---
apiVersion: rackwright/v1alpha1
kind: MachineTable
metadata: {name: t}
spec:
  rows:
    - {name: y, group: a, macs: ["02:00:00:00:00:02"]}
    - name: x1
      group: a
      macs: ["02:00:00:00:00:01"]
      formerly: ["mac:02:00:00:00:00:09", "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32"]
      power: {driver: redfish, address: 10.0.0.9, username: u, password: !secret bmc/x}
"""
}


def test_what_stands_elsewhere_than_machine_and_groups_says_where() -> None:
    fleet = compile_fleet(GIVEN, "r")
    assert fleet.fleet is not None, fleet.diagnostics
    machine = fleet.fleet.machines["x1"]
    fields = explained(fleet.fleet, machine)
    assert set(machine.origins) <= {each.field for each in fields}
    shown = {each.field: (each.value, str(each.position), each.reason) for each in fields}
    own = "the machine's own"
    assert shown["network"] == (
        "rack",
        "a.yaml:4:28",
        "through spec.defaults of the Fleet document",
    )
    assert shown["assign[0]"] == ("look, run b", "a.yaml:20:7", "through scenario look's target")
    assert shown["hardware.formerly"] == (
        "mac:02:00:00:00:00:09, uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32",
        "a.yaml:46:17",
        own,
    )
    assert shown["power.password"] == ("!secret bmc/x", "a.yaml:47:74", own)
    assert [each.field for each in chosen(fields, "holds")] == ["holds.move"]
    assert shown["holds.move"] == (
        "until 2026-12-01T12:00:00+09:00, ada: the rack moves",
        "a.yaml:25:18",
        "selected by hold move",
    )
    assert chosen(explained(fleet.fleet, fleet.fleet.machines["y"]), "holds.other")


def test_every_origin_that_the_compiler_knows_is_explained() -> None:
    machine = fleet().machines["node-01"]
    assert set(machine.origins) <= {field for field, *_ in told()}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("network", ["network"]),
        ("spec.network", ["network"]),
        ("identity", ["identity.hostname", "identity.domain", "identity.addresses"]),
        ("metadata.labels.role", ["labels.role"]),
        ("assign", ["assign[0]"]),
    ],
)
def test_a_field_is_chosen_by_its_name_or_by_what_it_is_below(name: str, found: list[str]) -> None:
    fields = explained(fleet(), fleet().machines["node-01"])
    assert [each.field for each in chosen(fields, name)] == found


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    fields = explained(fleet(), fleet().machines["node-01"])
    with pytest.raises(AuthoringError) as caught:
        chosen(fields, "netwrok")
    assert caught.value.code == "RW934"
    assert caught.value.cause == "there is no value 'netwrok' here"
    assert caught.value.action == "Did you mean network?"
    with pytest.raises(AuthoringError, match=r"There are: hardware.macs, hardware.serial, "):
        chosen(fields, "zzzzzzzzzzz")


def test_an_unknown_machine_is_answered_with_the_nearest() -> None:
    with pytest.raises(AuthoringError) as caught:
        find_machine(fleet(), "node-10")
    assert caught.value.cause == "there is no machine 'node-10' in this revision"
    assert caught.value.action == "Did you mean machine/node-01?"
    with pytest.raises(AuthoringError, match="`rackwright status` lists the machines"):
        find_machine(fleet(), "golden")
