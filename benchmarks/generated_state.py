"""State of a fleet that has converged, made up: the same for the same number, every time.

    .venv/bin/python benchmarks/generated_state.py [MACHINES]

fills a database in a temporary folder and says how long ``observe`` and the planner take.
Each machine has one verified restore, one report from the Deploy-OS, one from its installed
system, a contact and a boot.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from agent.wire.codec import encode
from agent.wire.disk import Disk, DiskIdentity, Partition
from agent.wire.report import Hardware, InstalledSystem, Report
from agent.wire.step import ApplyIdentity, Finish, InspectDisks, Restore
from agent.wire.work import OnError
from reconciler.planning.decision import Work
from reconciler.planning.planner import plan
from reconciler.state import schema
from reconciler.state.database import Database, open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.installed_system import encode_installed
from reconciler.state.ledger_chain import LedgerLine, line_hash
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.observed import ObservedImage
from reconciler.state.operation import Operation
from reconciler.state.operation_body import encode_operation
from reconciler.state.world import observe
from specs.diagnostics.position import Position
from specs.fleet import (
    Assignment,
    Budget,
    CompiledFleet,
    CompiledMachine,
    CompiledScenario,
    DiskRequest,
    FleetSettings,
    Origin,
    RestoreStep,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HERE = Position("fleet.yaml", 1, 1)
GIB = 1 << 30
MANIFEST = "a" * 64
SCENARIO = CompiledScenario(
    name="clone-golden",
    steps=(RestoreStep("debian12", DiskRequest(), "apply"),),
    reboot="graceful",
    after="reboot",
    timeout_seconds=7200,
    digest="d" * 64,
    position=HERE,
)
IMAGE = ObservedImage(
    name="debian12",
    manifest=MANIFEST,
    created=NOW - timedelta(days=1),
    usable=True,
    disk_size=3 * GIB,
    used_bytes=GIB,
    sector_size=512,
)
_ROWS_AT_ONCE = 5000


@dataclass(frozen=True)
class Generated:
    """One machine with all that is known of it."""

    machine: CompiledMachine
    operation: Operation
    ramdisk: Report
    installed: Report


def generated_machine(number: int) -> CompiledMachine:
    """Return machine ``number``, of a rack of 40."""
    group = f"site/row{number // 800}/rack{number // 40}"
    name = f"node-{number:05}"
    tail = number.to_bytes(3, "big").hex(":")
    return CompiledMachine(
        name=name,
        display_name="",
        formerly=(),
        domain="",
        power_settings={},
        group=group,
        groups=("site", group.rpartition("/")[0], group),
        labels={"role": "compute"},
        macs=(f"52:54:00:{tail}", f"52:54:01:{tail}"),
        uuid=f"77000000-0000-4000-8000-{number:012x}",
        serial="",
        network="",
        hostname=name,
        addresses=(IPv4Interface((IPv4Address("10.0.0.0") + number, 8)),),
        power_driver="wake-on-lan",
        protect=False,
        assignments=(Assignment(SCENARIO.name, "2026-11", Origin(HERE, ("site",))),),
        origins={},
    )


def generated_fleet(count: int) -> CompiledFleet:
    """Return a fleet of ``count`` machines that shall all be clones."""
    machines = [generated_machine(number) for number in range(count)]
    return CompiledFleet(
        revision="f00d",
        settings=FleetSettings(
            3600, (Budget("fleet", "", "work", 1000), Budget("fleet", "", "destructive", 10, 100))
        ),
        scenarios={SCENARIO.name: SCENARIO},
        machines={machine.name: machine for machine in machines},
    )


def generated(machine: CompiledMachine) -> Generated:
    """Return what is known of a machine once its first assignment was carried out."""
    disk = _disk(machine)
    operation = Work(
        kind="restore",
        scenario=machine.assignments[0].scenario,
        run=machine.assignments[0].run,
        inputs=(SCENARIO.digest, MANIFEST),
        revision="f00d",
        steps=(
            InspectDisks(),
            Restore("debian12", MANIFEST, disk.identity),
            ApplyIdentity(
                disk=disk.identity,
                hostname=machine.hostname,
                mac=machine.macs[0],
                addresses=tuple(str(address) for address in machine.addresses),
                gateway="10.0.0.1",
                nameservers=("10.0.0.2",),
                server="",
                pin="",
                agent_token="",
                operation="",
            ),
            Finish("reboot"),
        ),
        disks=(disk.identity,),
        proof=True,
        timeout_seconds=7200,
        limits=(),
        on_error=OnError("local-boot", 60),
    ).on(machine)
    system = InstalledSystem(
        hostname=machine.hostname,
        machine_id=machine.uuid.replace("-", ""),
        addresses=tuple(str(address) for address in machine.addresses),
        ssh_host_keys=tuple(f"SHA256:{kind * 43}" for kind in "abc"),
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-28-amd64",
        operation=operation.op_id,
    )
    return Generated(
        machine=machine,
        operation=operation,
        ramdisk=_report(machine, disk, None),
        installed=_report(machine, disk, system),
    )


def _disk(machine: CompiledMachine) -> Disk:
    return Disk(
        identity=DiskIdentity(
            wwn=f"0x5000{machine.uuid[-12:]}",
            serial=f"S{machine.uuid[-12:]}",
            path="pci-0000:00:04.0",
            size=960 * GIB,
        ),
        node="/dev/sda",
        model="SAMSUNG MZ7L3960",
        sector_size=512,
        table="gpt",
        removable=False,
        read_only=False,
        partitions=tuple(
            Partition(
                number=number,
                start=number * GIB,
                size=GIB,
                type="0fc63daf-8483-4772-8e79-3d69d8477de4",
                uuid=f"{number:08}-0000-4000-8000-{machine.uuid[-12:]}",
                filesystem=filesystem,
                label="",
            )
            for number, filesystem in enumerate(("vfat", "ext4", "swap"), 1)
        ),
        holds="gpt, 3 partitions: vfat, ext4, swap",
    )


def _report(machine: CompiledMachine, disk: Disk, system: InstalledSystem | None) -> Report:
    return Report(
        environment="installed" if system else "deploy-os",
        boot_id="1d0c5e5e-0000-4000-8000-000000000000",
        uptime=3600,
        agent_version="0.1.0",
        hardware=Hardware(
            macs=machine.macs,
            uuid=machine.uuid,
            serial=machine.uuid[-8:],
            vendor="NEC",
            product="Express5800/R120",
            cpus=32,
            memory=256 * GIB,
            firmware="uefi",
            secure_boot=True,
        ),
        disks=(disk,),
        installed=system,
    )


def fill(database: Database, fleet: CompiledFleet, now: datetime = NOW) -> None:
    """Write the state of a fleet that has converged at ``now``, thousands of rows at once."""
    machines = list(fleet.machines.values())
    before = LedgerLines(database).head().hash
    for first in range(0, len(machines), _ROWS_AT_ONCE):
        rows: dict[str, list[dict[str, Any]]] = {}
        for index, machine in enumerate(machines[first : first + _ROWS_AT_ONCE], first):
            for table, values in _rows(generated(machine), index, now):
                rows.setdefault(table, []).append(values)
        for values in rows["ledger"]:
            line = LedgerLine(**{**values, "at": schema.time_text(values["at"])})
            before = values["hash"] = line_hash(before, line)
        with database.writing() as connection:
            for table, values in rows.items():
                connection.execute(schema.metadata.tables[table].insert(), values)


def _rows(each: Generated, index: int, now: datetime) -> list[tuple[str, dict[str, Any]]]:
    machine, operation = each.machine, each.operation
    reports = (each.ramdisk, each.installed)
    bodies = [encode(report).decode() for report in reports]
    # Armed long ago, so that no budget of the last hour counts it.
    at = now - timedelta(days=1)
    states = ("planned", "approved", "armed", "started", "verified")
    line = {"op_id": operation.op_id, "attempt": 1, "at": at, "actor": "ada", "reason": "because"}
    lines = [
        {**line, "sequence": index * len(states) + number, "state": state}
        for number, state in enumerate(states, 1)
    ]
    return [
        (
            "operation",
            {
                "op_id": operation.op_id,
                "machine": machine.name,
                "hardware": operation.hardware,
                "body": encode_operation(operation),
                "planned_at": at,
            },
        ),
        *(("ledger", values) for values in lines),
        (
            "current_operation",
            {
                **{name: value for name, value in lines[-1].items() if name != "actor"},
                **{
                    name: getattr(operation, name)
                    for name in ("machine", "hardware", "kind", "scenario", "run", "revision")
                },
                "identities": " ".join(operation.identities),
                "destructive": True,
                "proof": True,
            },
        ),
        (
            "progress",
            {
                "op_id": operation.op_id,
                "attempt": 1,
                "sequence": 9,
                "step": 3,
                "bytes_done": GIB,
                "bytes_total": GIB,
                "steps_done": True,
                "at": at,
            },
        ),
        *(
            (
                "machine_report",
                {
                    "hardware": machine.hardware_identity,
                    "environment": report.environment,
                    "machine": machine.name,
                    "body": body,
                    "at": now,
                },
            )
            for report, body in zip(reports, bodies, strict=True)
        ),
        (
            "machine_observation",
            {
                "hardware": machine.hardware_identity,
                "identities": " ".join(machine.hardware_identities),
                "ramdisk_name": machine.name,
                "ramdisk_at": at,
                "installed_name": machine.name,
                "installed_at": now,
                "installed_system": encode_installed(each.installed.installed),
                "contact_name": machine.name,
                "contact_environment": "installed",
                "contact_at": now,
            },
        ),
        *(
            ("observed_identity", {"identity": each, "hardware": machine.hardware_identity})
            for each in machine.hardware_identities
        ),
        *(
            ("operation_identity", {"identity": each, "op_id": operation.op_id})
            for each in operation.identities
        ),
        ("boot_client", {"mac": machine.macs[0], "known": True, "heard_at": at, "boot_at": at}),
    ]


def _timed(what: str, work: Callable[[], object], rounds: int = 5) -> None:
    best_wall = best_cpu = float("inf")
    for _ in range(rounds):
        wall, cpu = perf_counter(), process_time()
        work()
        best_wall = min(best_wall, perf_counter() - wall)
        best_cpu = min(best_cpu, process_time() - cpu)
    print(f"{what:40} {best_wall:7.3f} s, of the processor {best_cpu:7.3f} s")


def main(count: int) -> None:
    """Fill a database and print how long reading it takes, the best of five."""
    fleet = generated_fleet(count)
    machines = tuple(fleet.machines.values())
    images = {IMAGE.name: IMAGE}
    with TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "rackwright.db")
        _timed(f"fill the state of {count} machines", lambda: fill(database, fleet), 1)
        _timed("index the fleet's hardware", lambda: FleetHardware(machines))
        hardware = FleetHardware(machines)
        _timed("observe", lambda: observe(database, machines, images, NOW))
        _timed(
            "observe, hardware at hand", lambda: observe(database, machines, images, NOW, hardware)
        )
        seen = observe(database, machines, images, NOW, hardware)
        _timed("plan", lambda: plan(fleet, seen, NOW), 3)
        print(f"the plan has {len(plan(fleet, seen, NOW).items)} items")
        database.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
