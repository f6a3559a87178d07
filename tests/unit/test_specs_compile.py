"""The compiled fleet: its values, its digests, its equality."""

import pickle
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import Position
from specs.digest import digest
from specs.fleet import (
    AddressRange,
    BackupStep,
    Budget,
    CompiledFleet,
    CompiledImage,
    CompiledMachine,
    CompiledNetwork,
    CompiledScenario,
    DiskRequest,
    FleetSettings,
    InspectDisksStep,
    RestoreStep,
)

FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: all}
spec:
  budgets: {destructive: {atOnce: 3, perHour: 40}}
  observation: {maxAge: 30m}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec:
  subnet: 10.77.0.0/24
  gateway: 10.77.0.254
  nameservers: [10.77.0.1, 1.1.1.1]
  domain: Lab.Example.net
  dhcp: {mode: server, range: 10.77.0.100-10.77.0.199, lease: 10m}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: lab}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: golden}
spec: {description: the one}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: other}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: site/clone}
spec:
  options: {reboot: never, after: stay, timeout: 90m}
  delivery: {mode: unicast}
  steps:
    - inspectDisks: {}
    - backup: {image: other}
    - restore: {image: golden, disk: {serial: S1, wwn: W1, path: P1}, identity: keep}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: m, labels: {role: compute}}
spec:
  group: lab
  hardware: {macs: ["52-54-00-00-00-AB"], uuid: 4C4C4544-0042-3510-8052-B4C04F4E4A32, serial: S9}
  identity: {addresses: [10.77.0.11/24]}
  assign: [{scenario: site/clone, run: 1}]
"""


def fleet_of(text: str = FLEET, file: str = "f.yaml") -> CompiledFleet:
    result = compile_fleet({file: text.encode()}, "rev")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def machine_of(text: str = FLEET) -> CompiledMachine:
    return fleet_of(text).machines["m"]


def test_every_value_of_the_documents_arrives() -> None:
    fleet = fleet_of()
    assert fleet.settings == FleetSettings(
        1800,
        (
            Budget("fleet", "", "work", 20, per_minute=30),
            Budget("fleet", "", "imaging", 5),
            Budget("fleet", "", "destructive", 3, 40),
            Budget("fleet", "", "disruptive", 20, 200),
        ),
    )
    assert fleet.networks == {
        "lab": CompiledNetwork(
            name="lab",
            subnet=IPv4Network("10.77.0.0/24"),
            gateway=IPv4Address("10.77.0.254"),
            nameservers=(IPv4Address("10.77.0.1"), IPv4Address("1.1.1.1")),
            domain="lab.example.net",
            dhcp_mode="server",
            dhcp_range=AddressRange(IPv4Address("10.77.0.100"), IPv4Address("10.77.0.199")),
            lease_seconds=600,
            position=Position("f.yaml", 10, 18),
        )
    }
    assert fleet.images == {
        "golden": CompiledImage("the one"),
        "other": CompiledImage(""),
    }
    scenario = fleet.scenarios["site/clone"]
    assert scenario == CompiledScenario(
        name="site/clone",
        steps=(
            InspectDisksStep(),
            BackupStep("other", DiskRequest()),
            RestoreStep("golden", DiskRequest("system", "W1", "S1", "P1"), "keep"),
        ),
        reboot="never",
        after="stay",
        timeout_seconds=5400,
        digest=scenario.digest,
        position=Position("f.yaml", 34, 18),
        step_seconds=(0, 0, 0),
    )
    machine = fleet.machines["m"]
    assert machine.macs == ("52:54:00:00:00:ab",)
    assert machine.uuid == "4c4c4544-0042-3510-8052-b4c04f4e4a32"
    assert machine.serial == "S9"
    assert machine.addresses == (IPv4Interface("10.77.0.11/24"),)
    assert machine.domain == "lab.example.net"
    assert machine.labels == {"role": "compute"}
    assert [(each.scenario, each.run) for each in machine.assignments] == [("site/clone", "1")]


def test_defaults_hold_where_nothing_is_written() -> None:
    text = FLEET.replace("  options: {reboot: never, after: stay, timeout: 90m}\n", "").replace(
        "  dhcp: {mode: server, range: 10.77.0.100-10.77.0.199, lease: 10m}\n", ""
    )
    fleet = fleet_of(text.replace(", identity: keep", ""))
    scenario = fleet.scenarios["site/clone"]
    assert (scenario.reboot, scenario.after, scenario.timeout_seconds) == (
        "graceful",
        "reboot",
        7200,
    )
    assert isinstance(scenario.steps[2], RestoreStep)
    assert scenario.steps[2].identity == "apply"
    network = fleet.networks["lab"]
    assert (network.dhcp_mode, network.dhcp_range, network.lease_seconds) == ("off", None, 3600)


def test_compiling_the_same_files_twice_gives_equal_fleets() -> None:
    assert fleet_of() == fleet_of()


def test_documents_may_be_spread_over_any_files() -> None:
    parts = FLEET.split("---\n")
    files = {f"d{index}/f{index}.yml": part.encode() for index, part in enumerate(parts)}
    fleet = compile_fleet(files, "rev").fleet
    assert fleet is not None
    assert fleet.machines["m"].digest == machine_of().digest
    assert fleet.scenarios["site/clone"].digest == fleet_of().scenarios["site/clone"].digest
    assert fleet.machines["m"].origins["group"].position.file == "d6/f6.yml"


def test_a_digest_does_not_depend_on_places_comments_order_or_spelling() -> None:
    moved = "# a comment\n\n" + FLEET.replace("  group: lab\n", "").replace(
        "  identity: {addresses", "  group: lab\n  identity:\n   {addresses"
    ).replace("52-54-00-00-00-AB", "52:54:00:00:00:ab").replace("timeout: 90m", "timeout: 1.5h")
    assert machine_of(moved).digest == machine_of().digest
    assert fleet_of(moved).scenarios["site/clone"].digest == (
        fleet_of().scenarios["site/clone"].digest
    )


def test_a_machines_digest_does_not_depend_on_the_level_that_says_it() -> None:
    by_group = FLEET.replace(
        "spec: {network: lab}", "spec: {network: lab, labels: {role: compute}}"
    )
    by_group = by_group.replace("{name: m, labels: {role: compute}}", "{name: m}")
    assert machine_of(by_group).digest == machine_of().digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: m,", "name: n,"),
        ("role: compute", "role: storage"),
        ("00-00-AB", "00-00-AC"),
        ("4C4C4544", "4C4C4545"),
        ("serial: S9", "serial: S8"),
        ("10.77.0.11/24", "10.77.0.12/24"),
        ("run: 1", "run: 2"),
        ("network: lab}", "network: lab, protect: true}"),
        ("network: lab}", "network: lab, power: {driver: wake-on-lan}}"),
        ("domain: Lab.", "domain: Tokyo."),
        ("addresses: [", "hostname: other, addresses: ["),
    ],
)
def test_a_machines_digest_changes_with_its_meaning(old: str, new: str) -> None:
    assert FLEET.count(old) == 1
    (changed,) = fleet_of(FLEET.replace(old, new)).machines.values()
    assert changed.digest != machine_of().digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("reboot: never", "reboot: graceful"),
        ("after: stay", "after: poweroff"),
        ("timeout: 90m", "timeout: 91m"),
        ("image: golden, disk", "image: other, disk"),
        ("serial: S1", "serial: S2"),
        ("wwn: W1", "wwn: W2"),
        ("path: P1", "path: P2"),
        ("identity: keep", "identity: apply"),
        ("    - inspectDisks: {}\n", ""),
    ],
)
def test_a_scenarios_digest_changes_with_its_meaning(old: str, new: str) -> None:
    text = FLEET.replace("    - backup: {image: other}\n", "")
    assert text.count(old) == 1
    changed = fleet_of(text.replace(old, new)).scenarios["site/clone"]
    assert changed.digest != fleet_of(text).scenarios["site/clone"].digest


def test_digests_are_pinned() -> None:
    # A change here makes every machine of every fleet look changed: it needs a decision.
    assert digest("Subject", {"b": [1, "é", None], "a": True}) == (
        "28e8af29224389a92a742de3a0e2f2a13b4e6aa5ac1943c889fef0bcd3e26cfd"
    )


def test_the_order_of_steps_is_meaning() -> None:
    first, second = "    - inspectDisks: {}\n", "    - backup: {image: other}\n"
    swapped = FLEET.replace(first + second, second + first)
    assert fleet_of(swapped).scenarios["site/clone"].digest != (
        fleet_of().scenarios["site/clone"].digest
    )


def test_names_are_in_order() -> None:
    machine = FLEET.rsplit("---\n", maxsplit=1)[-1]
    other = (
        machine.replace("name: m", "name: a")
        .replace("00-AB", "00-01")
        .replace("4C4C4544", "4C4C4540")
        .replace("10.77.0.11", "10.77.0.12")
    )
    fleet = fleet_of((FLEET + "---\n" + other).replace(": other}", ': "other-{machine}"}'))
    assert list(fleet.machines) == ["a", "m"]
    assert list(fleet.images) == ["golden", "other-{machine}"]


def test_a_compiled_machine_survives_pickling_with_its_origins() -> None:
    machine = machine_of()
    again = pickle.loads(pickle.dumps(machine))  # noqa: S301 - our own bytes
    assert again == machine
    assert again.origins["hardware.macs"] == machine.origins["hardware.macs"]


def test_machines_that_differ_in_origin_only_have_one_digest() -> None:
    moved = machine_of("\n" + FLEET)
    assert moved != machine_of()
    assert replace(moved, origins={}, assignments=()) == replace(
        machine_of(), origins={}, assignments=()
    )
