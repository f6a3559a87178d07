"""What the agent refuses of a set of disks, before it writes the first one."""

from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from agent.config import AgentConfig
from agent.errors import CodedError, TerminalError
from agent.imaging import manifest as manifest_format
from agent.imaging.extent import Extent
from agent.steps.run import StepContext, run_step
from agent.wire.disk import DiskSelector
from agent.wire.imaged_system import ImagedSystem
from agent.wire.step import Backup, Finish, Restore
from tests.unit.imaging_images import MIB, MemoryStore, described, image_of, noise, write_gpt

SIZE = 8 * MIB


def named(path, serial):
    disk = described(path)
    return attrs.evolve(disk, identity=attrs.evolve(disk.identity, serial=serial))


class Store(MemoryStore):
    """Keeps manifests, too, with the names of their images; like a server in memory."""

    def __init__(self):
        super().__init__()
        self.manifests = {}
        self.named = []
        self.lost = set()

    def add(self, manifest):
        encoded = manifest_format.encode(manifest)
        digest = manifest_format.digest(encoded)
        self.manifests[digest] = encoded
        return digest

    def put_manifest(self, operation, image, manifest):
        self.named.append((operation, image))
        return self.add(manifest_format.decode(manifest))

    def get_manifest(self, digest):
        if digest in self.lost:
            raise TerminalError("RW433", "a chunk of the image is gone", "Capture it again")
        return self.manifests[digest]


class Machine:
    """Two disks that are files, with other content than their images, and the work on them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.store = Store()
        self.digests, self.disks = [], []
        for number, name in enumerate(("system", "data")):
            path = folder / name
            path.write_bytes(noise(SIZE, number))
            write_gpt(path, SIZE, [(2048, SIZE // 512 - 2049)])
            used = [Extent(0, 3 * MIB), Extent(7 * MIB, MIB)]
            self.digests.append(self.store.add(image_of(path, used, self.store)))
            path.write_bytes(noise(SIZE, 10 + number))
            self.disks.append(named(path, name.upper()))
        self.steps = tuple(
            Restore(name, digest, disk.identity)
            for name, digest, disk in zip(("system", "data"), self.digests, self.disks, strict=True)
        )
        self.looked_with = []
        self.wrote = []

    def run(self, number: int, steps=None, installed=lambda _disk, _others: None):
        steps = steps or self.steps
        step = steps[number]
        context = StepContext(
            environment="deploy-os",
            machine_name="n1",
            operation="op",
            machine=SimpleNamespace(
                disks=lambda: SimpleNamespace(disks=tuple(self.disks)),
                paths=SimpleNamespace(sysfs=self.folder / "sys"),
            ),
            installed_on=installed,
            system_on=self.system_on,
            chunks=self.store,
            progress=lambda _done, _total: None,
            check=lambda: None,
            writing=lambda: self.wrote.append(step),
            report=lambda: None,
            state=self.folder,
            fetch=lambda _file: self.folder,
            pause=lambda _seconds: None,
            steps=(*steps, Finish("stay")),
        )
        return run_step(step, context)

    def system_on(self, disk, others):
        self.looked_with.append((disk.identity.serial, [each.identity.serial for each in others]))
        return ImagedSystem("", "", "", "", ())

    def content(self):
        return [Path(disk.node).read_bytes() for disk in self.disks]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_both_disks_of_a_set_are_written(machine):
    for number in (0, 1):
        result = machine.run(number)
        assert result["manifest"] == machine.digests[number]
    for number, content in enumerate(machine.content()):
        assert content[2 * MIB : 3 * MIB] == noise(SIZE, number)[2 * MIB : 3 * MIB]


def too_small(machine):
    path = Path(machine.disks[1].node)
    path.write_bytes(noise(SIZE - MIB, 11))
    machine.disks[1] = named(path, "DATA")
    machine.steps = (
        machine.steps[0],
        attrs.evolve(machine.steps[1], disk=machine.disks[1].identity),
    )


def other_sectors(machine):
    machine.disks[1] = attrs.evolve(machine.disks[1], sector_size=4096)


def part_of_a_raid(machine):
    machine.disks[1] = attrs.evolve(machine.disks[1], part_of="a ZFS pool (tank)")


def read_only(machine):
    machine.disks[1] = attrs.evolve(machine.disks[1], read_only=True)


def gone(machine):
    del machine.disks[1]


def lost_chunk(machine):
    machine.store.lost.add(machine.digests[1])


def another_image(machine):
    machine.store.manifests[machine.digests[1]] = machine.store.manifests[machine.digests[0]]


def same_disk(machine):
    machine.steps = (
        machine.steps[0],
        attrs.evolve(machine.steps[1], disk=machine.disks[0].identity),
    )


def cannot_grow(machine):
    machine.steps = (machine.steps[0], attrs.evolve(machine.steps[1], grow="7"))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (too_small, "RW412"),
        (other_sectors, "RW413"),
        (part_of_a_raid, "RW575"),
        (read_only, "RW454"),
        (gone, "RW451"),
        (lost_chunk, "RW433"),
        (another_image, "RW457"),
        (same_disk, "RW588"),
        (cannot_grow, "RW417"),
    ],
)
def test_what_the_second_disk_is_refused_for_is_found_before_the_first_is_written(
    machine, spoil, code
):
    spoil(machine)
    before = machine.content()
    with pytest.raises(CodedError) as caught:
        machine.run(0)
    assert caught.value.code == code
    assert (machine.content(), machine.wrote) == (before, [])


def test_a_disk_with_what_the_operation_installed_keeps_all_of_them_from_being_written(machine):
    config = AgentConfig("https://s", "0" * 64, "", "op", "n1", finished="2026-11-21T12:00:00Z")

    def installed(disk, others):
        assert [each.node for each in others] == [
            each.node for each in machine.disks if each.node != disk.node
        ]
        return config if disk.identity.serial == "DATA" else None

    with pytest.raises(CodedError) as caught:
        machine.run(0, installed=installed)
    assert (caught.value.code, machine.wrote) == ("RW573", [])


def test_each_backup_says_its_image_and_is_looked_at_with_the_other_disks(machine):
    steps = tuple(Backup(name, DiskSelector(serial=name.upper())) for name in ("system", "data"))
    for number in (0, 1):
        machine.run(number, steps)
    assert machine.store.named == [("op", "system"), ("op", "data")]
    assert machine.looked_with == [("SYSTEM", ["DATA"]), ("DATA", ["SYSTEM"])]


def test_no_disk_is_read_where_the_second_is_not_there(machine):
    steps = (
        Backup("system", DiskSelector(serial="SYSTEM")),
        Backup("data", DiskSelector(serial="ELSEWHERE")),
    )
    with pytest.raises(CodedError) as caught:
        machine.run(0, steps)
    assert (caught.value.code, machine.store.named) == ("RW451", [])
