"""A small fleet and what may be observed of it; every part can be replaced."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from agent.wire.disk import Disk, DiskIdentity
from agent.wire.imaged_system import ImagedSystem
from agent.wire.report import Hardware, InstalledSystem, Report
from reconciler.state.observed import Observed, ObservedImage, ObservedMachine, TimedReport
from reconciler.state.operation import Operation, OperationStatus, Start
from reconciler.state.operation_states import OperationState
from specs.diagnostics.position import Position
from specs.fleet import (
    Assignment,
    BackupStep,
    Budget,
    CompiledFleet,
    CompiledMachine,
    CompiledNetwork,
    CompiledScenario,
    DiskRequest,
    FleetSettings,
    InspectDisksStep,
    Origin,
    RestoreStep,
    Waits,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WAITS = Waits()
GRANT = timedelta(seconds=WAITS.grant_seconds)
SILENCE = timedelta(seconds=WAITS.silence_seconds)
PROOF = timedelta(seconds=WAITS.proof_seconds)
WAKE = timedelta(seconds=WAITS.wake_seconds)
HERE = Position("fleet.yaml", 1, 1)
MANIFEST = "a" * 64
GIB = 1 << 30
CAPTURE = CompiledScenario(
    name="capture-golden",
    steps=(InspectDisksStep(), BackupStep("debian12", DiskRequest())),
    reboot="graceful",
    after="poweroff",
    timeout_seconds=7200,
    digest="c" * 64,
    position=HERE,
)
CLONE = CompiledScenario(
    name="clone-golden",
    steps=(InspectDisksStep(), RestoreStep("debian12", DiskRequest(), "apply")),
    reboot="graceful",
    after="reboot",
    timeout_seconds=7200,
    digest="d" * 64,
    position=HERE,
)
NETWORK = CompiledNetwork(
    name="lab",
    subnet=IPv4Network("10.77.0.0/24"),
    gateway=IPv4Address("10.77.0.254"),
    nameservers=(IPv4Address("10.77.0.253"),),
    domain="",
    dhcp_mode="server",
    dhcp_range=None,
    lease_seconds=3600,
    position=HERE,
)


def a_machine(number: int, *scenarios: str, **changes: Any) -> CompiledMachine:
    """Return machine ``node-NN`` with these scenarios assigned, each with run token 1."""
    name = f"node-{number:02}"
    machine = CompiledMachine(
        name=name,
        display_name="",
        formerly=(),
        domain="",
        power_settings={},
        group="lab",
        groups=("lab",),
        labels={},
        macs=(f"52:54:00:77:00:{number:02x}",),
        uuid=f"77000000-0000-4000-8000-0000000000{number:02x}",
        serial="",
        network="lab",
        hostname=name,
        addresses=(IPv4Interface(f"10.77.0.{number}/24"),),
        power_driver="wake-on-lan",
        protect=False,
        assignments=tuple(
            Assignment(scenario, "1", Origin(Position("fleet.yaml", 10, 5), ("lab",)))
            for scenario in scenarios
        ),
        origins={},
    )
    return replace(machine, **changes)


def a_fleet(*machines: CompiledMachine, at_once: int = 1, per_hour: int = 10) -> CompiledFleet:
    """Return a fleet of these machines with both scenarios and one network."""
    return CompiledFleet(
        revision="f00d",
        settings=FleetSettings(
            observation_max_age_seconds=3600,
            budgets=(
                Budget("fleet", "", "work", 1000),
                Budget("fleet", "", "destructive", at_once, per_hour),
                Budget("fleet", "", "disruptive", 20, 200),
            ),
            breakers=(),
        ),
        networks={"lab": NETWORK},
        groups=("lab",),
        scenarios={scenario.name: scenario for scenario in (CAPTURE, CLONE)},
        images={},
        machines={machine.name: machine for machine in machines},
    )


def a_disk(serial: str = "S1", size: int = 4 * GIB, **changes: Any) -> Disk:
    """Return a blank fixed disk."""
    values: dict[str, Any] = {
        "identity": DiskIdentity(wwn="", serial=serial, path="pci-0000:00:04.0", size=size),
        "node": "/dev/vda",
        "model": "QEMU HARDDISK",
        "sector_size": 512,
        "table": "",
        "removable": False,
        "read_only": False,
        "partitions": (),
        "holds": "blank",
    }
    return Disk(**{**values, **changes})


def a_report(
    machine: CompiledMachine, *disks: Disk, installed: InstalledSystem | None = None
) -> Report:
    """Return what the machine's agent reports."""
    return Report(
        environment="installed" if installed else "deploy-os",
        boot_id="b",
        uptime=60,
        agent_version="1",
        hardware=Hardware(
            macs=machine.macs,
            uuid=machine.uuid,
            serial="",
            vendor="",
            product="",
            cpus=2,
            memory=GIB,
            firmware="bios",
            secure_boot=False,
        ),
        disks=disks,
        installed=installed,
    )


def ramdisk(machine: CompiledMachine, *disks: Disk, at: datetime = NOW) -> ObservedMachine:
    """Return a machine whose Deploy-OS agent reported these disks and waits."""
    return ObservedMachine(ramdisk=TimedReport(a_report(machine, *disks), at), ramdisk_contact=at)


SUITABLE = ImagedSystem("", "1", "systemd", "systemd-networkd", ())
"""A system without a name whose clones can get their identity."""


def an_image(**changes: Any) -> ObservedImage:
    """Return a usable image of a 3 GiB disk."""
    values: dict[str, Any] = {
        "name": "debian12",
        "manifest": MANIFEST,
        "created": NOW - timedelta(minutes=5),
        "usable": True,
        "disk_size": 3 * GIB,
        "used_bytes": 400 * 1024 * 1024,
        "sector_size": 512,
        "system": SUITABLE,
    }
    return ObservedImage(**{**values, **changes})


def a_status(
    operation: Operation,
    state: OperationState,
    **changes: Any,
) -> OperationStatus:
    """Return the operation in a state entered now, at its first attempt; it may interrupt."""
    start = Start(may_interrupt=True)
    values: dict[str, Any] = {"attempt": 1, "at": NOW, "reason": "", "start": start}
    return OperationStatus(operation=operation, state=state, **{**values, **changes})


def an_installed_system(machine: CompiledMachine, operation: str) -> InstalledSystem:
    """Return the report of a clone that is as it should be."""
    return InstalledSystem(
        hostname=machine.hostname,
        machine_id="0" * 32,
        addresses=tuple(str(address) for address in machine.addresses),
        ssh_host_keys=(),
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1",
        operation=operation,
    )


def observed(
    machines: dict[str, ObservedMachine] | None = None,
    images: tuple[ObservedImage, ...] = (),
    operations: tuple[OperationStatus, ...] = (),
    **changes: Any,
) -> Observed:
    """Return the world."""
    return Observed(
        machines=machines or {},
        images={image.name: image for image in images},
        operations=operations,
        **changes,
    )
