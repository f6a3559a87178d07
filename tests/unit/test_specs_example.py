"""The fleet that newcomers read first."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from specs.compile.fleet import compile_fleet
from specs.fleet import (
    AddressRange,
    BackupStep,
    Budget,
    CompiledFleet,
    DiskRequest,
    InspectDisksStep,
    RestoreStep,
)

ROOT = Path(__file__).parents[2] / "examples" / "lab" / "fleet"


def lab() -> CompiledFleet:
    files = {
        str(file.relative_to(ROOT)): file.read_bytes() for file in ROOT.rglob("*") if file.is_file()
    }
    result = compile_fleet(files, "worktree:test")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def test_the_example_compiles_without_problems_and_says_what_its_comments_promise() -> None:
    fleet = lab()
    assert list(fleet.machines) == ["golden", "node-01"]
    assert fleet.groups == ("lab",)
    network = fleet.networks["lab"]
    assert network.subnet == IPv4Network("10.77.0.0/24")
    assert network.gateway is None
    assert network.dhcp_mode == "server"
    assert network.dhcp_range == AddressRange(
        IPv4Address("10.77.0.100"), IPv4Address("10.77.0.199")
    )
    assert Budget("fleet", "", "destructive", 1, 10) in fleet.settings.budgets


def test_golden_is_captured_and_switched_off() -> None:
    fleet = lab()
    golden = fleet.machines["golden"]
    assert golden.macs == ("52:54:00:77:00:10",)
    assert golden.uuid == "77000000-0000-4000-8000-000000000010"
    assert golden.addresses == ()
    assert golden.power_driver == "wake-on-lan"
    assert [(each.scenario, each.run) for each in golden.assignments] == [("capture-golden", "1")]
    scenario = fleet.scenarios["capture-golden"]
    assert scenario.steps == (InspectDisksStep(), BackupStep("debian12-golden", DiskRequest()))
    assert scenario.after == "poweroff"


def test_the_node_becomes_a_copy_with_its_own_identity() -> None:
    fleet = lab()
    node = fleet.machines["node-01"]
    assert node.macs == ("52:54:00:77:00:11",)
    assert node.uuid == "77000000-0000-4000-8000-000000000011"
    assert node.hostname == "node-01"
    assert node.addresses == (IPv4Interface("10.77.0.11/24"),)
    assert node.power_driver == "wake-on-lan"
    assert [(each.scenario, each.run) for each in node.assignments] == [("clone-golden", "1")]
    scenario = fleet.scenarios["clone-golden"]
    assert scenario.steps == (
        InspectDisksStep(),
        RestoreStep("debian12-golden", DiskRequest(), "apply", grow="last"),
    )
    assert scenario.after == "reboot"
