"""A system whose parts lie on several disks: what a capture says of it, and a clone's identity."""

from pathlib import Path

import pytest

from agent.commands.blkid import probe
from agent.errors import TerminalError
from agent.identity.linux.apply import apply_identity
from agent.identity.linux.installed_config import installed_config_on
from agent.identity.linux.suitability import imaged_system
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem
from tests.protocol.identity_disks import CONFIG, NEW, Rack, loop_devices_left

pytestmark = [pytest.mark.timeout(120), pytest.mark.needs_root]


class TwoDisks:
    """A golden machine whose /var is on a second disk."""

    def __init__(
        self, rack: Rack, golden: Path, folder: Path, source: str, root: str = "LABEL=fs0"
    ) -> None:
        (folder / "other").mkdir()
        self.second = Rack(folder / "other")
        self.rack = rack
        (golden / "var").rename(folder / "var")
        (golden / "var").mkdir()
        self.data = self.second.build(folder / "var")
        (part,) = self.data.partitions
        uuid = probe(self.second.node, part.start, part.size).uuid
        self.source = source.format(uuid=uuid, partuuid=part.uuid)
        (golden / "etc/fstab").write_text(f"{root} / ext4\n{self.source} /var ext4\n")
        self.system = rack.build(golden)

    def looked_at(self, *others: Disk) -> ImagedSystem:
        """Return the system as a capture with these other disks keeps it; nothing is written."""
        before = self.rack.digest(), self.second.digest()
        found = imaged_system(self.rack.paths.sysfs, self.system, others)
        assert (self.rack.digest(), self.second.digest()) == before
        assert found is not None
        return found


@pytest.mark.parametrize("source", ["UUID={uuid}", "/dev/disk/by-partuuid/{partuuid}"])
def test_a_var_on_another_disk_of_the_set_is_found_and_missed_where_that_is_not_there(
    rack: Rack, golden: Path, tmp_path: Path, source: str
) -> None:
    disks = TwoDisks(rack, golden, tmp_path, source)
    found = disks.looked_at(disks.data)
    assert (found.name, found.obstacles) == ("Golden Linux", ())
    (missing,) = found.alone
    assert (missing.code, missing.cause) == (
        "RW468",
        f"/etc/fstab mounts /var from {disks.source}, which is not on the disk",
    )
    assert "or on one that is captured and restored with it" in missing.action
    assert disks.looked_at().obstacles == (missing,)


def test_the_clone_gets_its_identity_on_both_disks_and_none_without_the_other(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    disks = TwoDisks(rack, golden, tmp_path, "UUID={uuid}")
    sysfs, before = rack.paths.sysfs, (rack.digest(), disks.second.digest())
    with pytest.raises(TerminalError, match="mounts /var from UUID=") as caught:
        apply_identity(sysfs, disks.system, NEW, lambda _done, _total: None)
    assert caught.value.code == "RW468"
    assert (rack.digest(), disks.second.digest()) == before
    result = apply_identity(sysfs, disks.system, NEW, lambda _done, _total: None, (disks.data,))
    assert (result["machine-id"], result["root"]) == (NEW.machine_id, "1")
    with rack.opened() as root, disks.second.opened() as var:
        assert (root / "etc/hostname").read_text() == "node-0713\n"
        assert list((root / "var").iterdir()) == []
        assert not (var / "lib/rackwright").exists()
        assert not (var / "lib/systemd/random-seed").exists()
    assert installed_config_on(sysfs, disks.system) is None
    assert installed_config_on(sysfs, disks.system, (disks.data,)) == CONFIG
    assert not loop_devices_left(str(tmp_path))


def test_the_kernels_name_of_a_partition_of_another_disk_means_nothing(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    disks = TwoDisks(rack, golden, tmp_path, "/dev/sdb1", root="/dev/sda1")
    (obstacle,) = disks.looked_at(disks.data).obstacles
    assert (obstacle.code, obstacle.cause) == (
        "RW468",
        "/etc/fstab mounts /var from /dev/sdb1, which is not on the disk",
    )


def test_a_home_on_another_disk_is_no_part_of_the_identity(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    (golden / "etc/fstab").write_text("LABEL=fs0 / ext4\nLABEL=orders /home ext4\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "other").mkdir()
    home = Rack(tmp_path / "other").build(tmp_path / "home")
    disk = rack.build(golden)
    found = imaged_system(rack.paths.sysfs, disk, (home,))
    assert found == imaged_system(rack.paths.sysfs, disk)
    assert found is not None
    assert (found.obstacles, found.alone) == ((), ())
