"""A transcript's folder as a fleet and a world; see ``tests/transcripts/README.md``."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve
from ruamel.yaml import YAML

from agent.imaging.growable import (
    Growable,
    GrowableGroup,
    GrowablePartition,
    GrowablePhysicalVolume,
    GrowableVolume,
)
from agent.wire.disk import Disk, DiskIdentity, Partition
from agent.wire.imaged_layout import ImagedLayout, PartitionPlace
from agent.wire.imaged_system import ImagedSystem, Obstacle
from agent.wire.package import PackageResult
from agent.wire.report import InstalledSystem
from agent.wire.step import Backup
from builders.changes import changed_values
from builders.world import NOW, SUITABLE, a_report, an_image
from providers.imaging.image_record import ImageSet, SetMember
from reconciler.planning.changed_values import ChangedValues
from reconciler.planning.planner import plan
from reconciler.state.observed import Capture, Observed, ObservedMachine, TimedReport
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState
from reconciler.state.update_status import UpdateStatus
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet, CompiledMachine
from specs.types.quantities import ByteSize, Duration

SHARED = Path(__file__).parents[1] / "transcripts" / "shared"
BEFORE, AFTER = (
    "1111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222",
)

MIB = 1 << 20


@dataclass(frozen=True)
class Transcript:
    before: CompiledFleet
    after: CompiledFleet | None
    world: Observed
    options: dict[str, Any]
    values: ChangedValues | None

    @property
    def fleet(self) -> CompiledFleet:
        return self.after or self.before


def read(folder: Path) -> Transcript:
    said = YAML(typ="safe").load(folder / "observed.yaml") or {}
    old = _files(folder, "", said)
    before = _fleet(old, BEFORE)
    after = values = None
    if list(folder.glob("after.*")):
        new = _files(folder, "after.", said)
        after, values = _fleet(new, AFTER), changed_values(old, new)
    return Transcript(before, after, _world(before, said), said.get("options", {}), values)


def _files(folder: Path, prefix: str, said: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a revision; what the branch changed begins with the prefix."""
    files = {shared.name: shared.read_bytes() for shared in SHARED.glob("*.yaml")}
    names = [each.name for each in folder.glob("*.csv") if not each.name.startswith("after.")]
    for name in ("fleet.yaml", *names):
        changed = folder / f"{prefix}{name}".replace("after.fleet.yaml", "after.yaml")
        files[name] = (changed if changed.exists() else folder / name).read_bytes()
    files["fleet.yaml"] += _many(said.get("many"), is_after=bool(prefix))
    return files


def _fleet(files: dict[str, bytes], revision: str) -> CompiledFleet:
    result = compile_fleet(files, revision)
    assert result.fleet is not None, [str(problem) for problem in result.diagnostics]
    return result.fleet


def _many(said: dict[str, Any] | None, *, is_after: bool) -> bytes:
    """Return so many machine documents, spread over the groups in turn."""
    if said is None:
        return b""
    documents = []
    form = said.get("after", said["group"]) if is_after else said["group"]
    for number in range(said["count"]):
        mac = f"52:54:01:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        group = form.format(
            site=("osaka", "tokyo")[number % 2],
            other=("storage", "tokyo")[number % 2],
            row=number // 2 % 5,
            rack=number // 10 % 20,
        )
        documents.append(
            f"---\napiVersion: rackwright/v1alpha1\nkind: Machine\n"
            f"metadata: {{name: many-{number:05}}}\n"
            f"spec: {{group: {group}, hardware: {{macs: ['{mac}']}}}}\n"
        )
    return "".join(documents).encode()


def _ago(text: str) -> datetime:
    return NOW - timedelta(seconds=Duration.parse(text).seconds)


def _size(text: str) -> int:
    return ByteSize.parse(text).bytes


def _world(fleet: CompiledFleet, said: dict[str, Any]) -> Observed:
    described = dict(said.get("machines") or {})
    if "many" in said and "observed" in said["many"]:
        for number in range(said["many"]["count"]):
            name = f"many-{number:05}"
            if number % said["many"].get("every", 1) == 0:
                described[name] = said["many"]["observed"]
    images = {image["name"]: _image(image) for image in said.get("images") or ()}
    world = Observed(images=images)
    for past in said.get("operations") or ():
        world = _with_operation(fleet, world, described, past)
    machines = {
        name: _machine(fleet.machines[name], each, world)
        for name, each in described.items()
        if name in fleet.machines
    }
    updates = {
        name: _updates(fleet.machines[name], each)
        for name, each in (said.get("updates") or {}).items()
    }
    return replace(world, machines=machines, updates=updates)


def _updates(machine: CompiledMachine, said: dict[str, Any]) -> UpdateStatus:
    results = tuple(
        PackageResult(name=name, **{"version": "", "state": "present", **(each or {})})
        for name, each in said["packages"].items()
    )
    return UpdateStatus(
        hardware=machine.hardware_identity,
        identities=machine.hardware_identities,
        machine=machine.name,
        at=NOW,
        boot_id="boot",
        policy=said["policy"],
        orders="",
        phase=said.get("phase", "idle"),
        why=said.get("why", ""),
        code="",
        since=None,
        run="updates-1",
        checked=None,
        next_check=None,
        results=results,
    )


def _image(said: dict[str, Any]) -> Any:
    return an_image(
        name=said["name"],
        manifest=said.get("manifest", "a") * 64,
        created=_ago(said.get("captured", "1d")),
        usable="problem" not in said,
        problem=said.get("problem", ""),
        disk_size=_size(said.get("disk", "480GB")),
        used_bytes=_size(said.get("used", "6GB")),
        sector_size=said.get("sectors", 512),
        system=_imaged_system(said.get("system", {})),
        growable=_growable(said["partitions"], said) if "partitions" in said else None,
        layout=_layout(said),
        sets=tuple(_image_set(each) for each in said.get("sets", ())),
    )


def _image_set(said: dict[str, Any]) -> ImageSet:
    members = tuple(
        SetMember(name, manifest * 64) for name, manifest in sorted(said["members"].items())
    )
    at = _ago(said.get("ago", "1d")).isoformat(timespec="seconds")
    return ImageSet(said["run"] * 32, said.get("machine", "node-01"), at, members)


def _layout(said: dict[str, Any]) -> ImagedLayout | None:
    if "places" not in said:
        return None
    places = tuple(
        PartitionPlace(each.number, each.start, each.size, each.type) for each in _partitions(said)
    )
    return ImagedLayout(said.get("table", "gpt"), places, tuple(said.get("omitted", ())))


def _partitions(said: dict[str, Any]) -> tuple[Partition, ...]:
    return tuple(
        Partition(number, start << 20, size << 20, "linux", "", "ext4", "")
        for number, start, size in said.get("places", ())
    )


def _growable(partitions: list[dict[str, Any]], said: dict[str, Any]) -> Growable:
    """Return what can grow of partitions one behind the other, the last one maybe LVM's."""
    start, parts = MIB, []
    for number, each in enumerate(partitions, 1):
        size = each["MiB"] * MIB
        parts.append(GrowablePartition(number, start, size, each["holds"], ""))
        start += size
    groups: tuple[GrowableGroup, ...] = ()
    if volumes := said.get("volumes"):
        last, size = parts[-1], 4 * MIB
        extents = (last.size - MIB) // size
        listed = tuple(
            GrowableVolume(
                each["name"], each["MiB"] * MIB, each["holds"], each.get("why", ""), whole=True
            )
            for each in volumes
        )
        free = extents * size - sum(each.size for each in listed)
        member = GrowablePhysicalVolume(last.number, last.start + MIB, extents, 0)
        groups = (GrowableGroup("vg0", size, free, "", "", (member,), listed),)
    disk = _size(said.get("disk", "480GB"))
    return Growable(disk, said.get("sectors", 512), "gpt", 33 * 512, tuple(parts), (), groups)


def _imaged_system(said: dict[str, Any] | None) -> ImagedSystem | None:
    if said is None:
        return None
    obstacles = tuple(Obstacle(**each) for each in said.get("obstacles", ()))
    alone = tuple(Obstacle(**each) for each in said.get("alone", ()))
    root = said.get("root", SUITABLE.root)
    name = said.get("name", "")
    return evolve(SUITABLE, name=name, root=root, obstacles=obstacles, alone=alone)


def _machine(machine: CompiledMachine, said: dict[str, Any], world: Observed) -> ObservedMachine:
    disks = tuple(
        _disk(disk, machine.name, number) for number, disk in enumerate(said.get("disks", ({},)))
    )
    ramdisk = installed = None
    called = said.get("called", "")
    if "ram" in said:
        ramdisk = TimedReport(a_report(machine, *disks), _ago(said["ram"]), called)
    if "installed" in said:
        system = _system(machine, said, world)
        report = a_report(machine, *disks, installed=system)
        installed = TimedReport(report, _ago(said["installed"]), called)
    return ObservedMachine(
        ramdisk=ramdisk,
        installed=installed,
        ramdisk_contact=_ago(said["waits"]) if "waits" in said else None,
        boot_request=_ago(said["boot"]) if "boot" in said else None,
        quarantine=said.get("quarantine", ""),
        protected_at=said.get("protectedAt", ""),
    )


def _disk(said: dict[str, Any], machine: str, number: int) -> Disk:
    return Disk(
        identity=DiskIdentity(
            wwn=said.get("wwn", ""),
            serial=said.get("serial", f"{machine}-{number}".upper()),
            path=f"pci-0000:0{number}:00.0",
            size=_size(said.get("size", "480GB")),
        ),
        node=f"/dev/nvme{number}n1",
        model=said.get("model", "Acme SSD 480"),
        sector_size=said.get("sectors", 512),
        table=said.get("table", "gpt" if "places" in said else ""),
        removable=said.get("removable", False),
        read_only=said.get("readOnly", False),
        holds=said.get("holds", "blank"),
        part_of=said.get("partOf", ""),
        partitions=_partitions(said),
    )


def _system(machine: CompiledMachine, said: dict[str, Any], world: Observed) -> InstalledSystem:
    runs = [
        status.operation.op_id
        for status in world.operations
        if status.operation.destructive
        and set(status.operation.identities).intersection(machine.hardware_identities)
    ]
    return InstalledSystem(
        hostname=said.get("hostname", machine.hostname),
        machine_id="0" * 32,
        addresses=tuple(said.get("addresses", map(str, machine.addresses))),
        ssh_host_keys=(),
        os=said.get("os", "Debian GNU/Linux 12 (bookworm)"),
        kernel="6.1",
        operation=said.get("operation", runs[-1] if runs else ""),
    )


def _with_operation(
    fleet: CompiledFleet, world: Observed, described: dict[str, Any], past: dict[str, Any]
) -> Observed:
    """Return the world in which the work that the fleet planned then came to this state."""
    name = past["machine"]
    machine = fleet.machines[name]
    if "was" in past:
        machine = replace(machine, **past["was"])
    if "run" in past:
        assignments = tuple(replace(each, run=past["run"]) for each in machine.assignments)
        machine = replace(machine, assignments=assignments)
    if "scenario" in past:
        first = machine.assignments[0]
        machine = replace(machine, assignments=(replace(first, scenario=past["scenario"]),))
    then = _machine(machine, {"ram": "1s", "disks": described[name].get("disks", ({},))}, world)
    images = dict(world.images)
    for image, manifest in (past.get("images") or {}).items():
        images[image] = replace(images[image], manifest=manifest * 64)
    lone = replace(
        fleet, machines={machine.name: replace(machine, protect=False)}, holds=(), unsupported=()
    )
    seen = replace(world, machines={machine.name: then}, images=images)
    (item, *_) = plan(lone, seen, NOW).to_apply
    status = OperationStatus(
        operation=item.operation,
        state=OperationState(past["state"]),
        attempt=1,
        at=_ago(past["ago"]),
        reason=past.get("reason", ""),
    )
    captures = tuple(
        Capture(item.operation.op_id, step.image, images[step.image].manifest, "")
        for step in item.operation.instructions.steps
        if isinstance(step, Backup) and step.image in images
    )
    return replace(
        world,
        operations=(*world.operations, status),
        captures=(*world.captures, *captures),
    )


def carried_out(fleet: CompiledFleet, world: Observed) -> Observed:
    """Return the world after all that can be planned was done, round after round."""
    for _ in range(10):
        made = plan(fleet, world, NOW)
        if not made.to_apply:
            return world
        for item in made.to_apply:
            world = _done(fleet.machines[item.machine], world, item.operation)
    raise AssertionError("the plan never becomes empty")


def _done(machine: CompiledMachine, world: Observed, operation: Any) -> Observed:
    seen = world.machines.get(machine.name, ObservedMachine())
    disks = seen.disks.report.disks if seen.disks else (_disk({}, machine.name, 0),)
    status = OperationStatus(operation, OperationState.VERIFIED, 1, NOW, "")
    images, captures = dict(world.images), list(world.captures)
    for step in operation.instructions.steps:
        if isinstance(step, Backup):
            images[step.image] = _image({"name": step.image, "captured": "1s"})
            captures.append(Capture(operation.op_id, step.image, images[step.image].manifest, ""))
    now = ObservedMachine(ramdisk=TimedReport(a_report(machine, *disks), NOW))
    if operation.destructive:
        system = InstalledSystem(
            hostname=machine.hostname,
            machine_id="0" * 32,
            addresses=tuple(map(str, machine.addresses)),
            ssh_host_keys=(),
            os="Debian GNU/Linux 12 (bookworm)",
            kernel="6.1",
            operation=operation.op_id,
        )
        now = ObservedMachine(
            installed=TimedReport(a_report(machine, *disks, installed=system), NOW)
        )
    return replace(
        world,
        machines={**world.machines, machine.name: now},
        images=images,
        captures=tuple(captures),
        operations=(*world.operations, status),
    )
