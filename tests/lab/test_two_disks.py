"""A system and its data on two disks are captured together and brought to another machine."""

import uuid

import pytest
from builders.lab_site import partitions

from agent.wire.step import Restore
from providers.lab.command import run
from reconciler.planning.plan import EXIT_RISKY
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from tests.lab.test_main_job import installed_system

pytestmark = [pytest.mark.lab, pytest.mark.nightly, pytest.mark.timeout(3600)]

MORE_DISKS = {
    "table: gpt": "table: gpt\n    moreDisks: [{size: 1GiB, serial: GOLDEN-DATA}]",
    "# moreDisks:": "moreDisks:",
}
IMAGE = """\
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: debian12-data}
"""
SCENARIOS = """\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: capture-golden}
spec:
  options: {after: poweroff}
  steps:
    - backup: {image: debian12-golden, disk: {serial: GOLDEN-0010}}
    - backup: {image: debian12-data, disk: {serial: GOLDEN-DATA}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone-golden}
spec:
  options: {after: reboot}
  steps:
    - restore: {image: debian12-golden, disk: {serial: NODE-0011}}
    - restore: {image: debian12-data, disk: {serial: NODE-0011-DATA}}
"""


def put_srv_on_its_own_disk(system, data, scratch):
    """Make a file system with a file on ``data``; the system on ``system`` mounts it on /srv."""
    tree = scratch / "srv"
    tree.mkdir()
    (tree / "words").write_text("what the machine is for\n")
    identity = str(uuid.uuid4())
    run(["sfdisk", "--quiet", data], package="fdisk", standard_input="label: gpt\n,\n")
    (partition,) = partitions(data)
    where = ("-E", f"offset={partition.offset}", "-d", tree, data, str(partition.size // 4096))
    run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-U", identity, *where], package="e2fsprogs")

    root = f"{system}?offset={partitions(system)[-1].offset}"
    mounts = run(["debugfs", "-R", "cat /etc/fstab", root], package="e2fsprogs")
    fstab = scratch / "fstab"
    fstab.write_text(f"{mounts}UUID={identity} /srv ext4 defaults 0 2\n")
    for request in ("rm /etc/fstab", f"write {fstab} /etc/fstab"):
        run(["debugfs", "-w", "-R", request, root], package="e2fsprogs")
    return identity


def restored_images(site):
    """Return the images of the only restore in the order in which its steps wrote them."""
    database = open_database(site.state / "rackwright.db")
    (done,) = [
        each.operation for each in Ledger(database).operations() if each.operation.kind == "restore"
    ]
    database.close()
    return [each.image for each in done.instructions.steps if isinstance(each, Restore)]


def test_a_system_comes_with_the_disk_that_it_mounts(new_site, tmp_path):
    site = new_site("bios", "gpt", MORE_DISKS)
    data = site.disk("golden").with_name("disk-2.raw")
    identity = put_srv_on_its_own_disk(site.disk("golden"), data, tmp_path)
    (site.fleet / "scenarios.yaml").write_text(SCENARIOS, "utf-8")
    site.edit("images.yaml", r"\Z", IMAGE)

    site.run("apply", "--yes", expect=0)
    assert "together with  debian12-data" in site.run("image", "show", "debian12-golden", expect=0)
    assert "together with  debian12-golden" in site.run("image", "show", "debian12-data", expect=0)
    said = site.run("plan", expect=EXIT_RISKY)
    assert "NODE-0011" in said
    assert "NODE-0011-DATA" in said
    site.run("apply", "--yes=2", expect=0)
    assert "Nothing to do" in site.run("plan", expect=0)
    assert restored_images(site) == ["debian12-data", "debian12-golden"]

    assert {name: each["condition"] for name, each in site.status().items()} == {
        "golden": "Ready",
        "node-01": "Ready",
    }
    assert installed_system(site).installed.hostname == "node-01"
    command = ("exec", "--on", "node-01", "--reason", "its data", "--yes=0", "--", "sh", "-c")
    said = site.run(*command, "cat /srv/words; findmnt -no SOURCE,UUID /srv", expect=0)
    assert "what the machine is for" in said
    assert f"/dev/vdb1 {identity}" in said
