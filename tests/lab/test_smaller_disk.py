"""A machine whose disk is smaller than the golden one becomes a clone by way of a shrunk image."""

import re
import shlex

import pytest
from builders.lab_site import file_on_disk, file_system_size, partitions

from reconciler.planning.plan import EXIT_BLOCKED, EXIT_RISKY
from tests.lab.test_main_job import installed_system

pytestmark = [pytest.mark.lab, pytest.mark.nightly, pytest.mark.timeout(3600)]

SMALL = """\
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata:
  name: debian12-golden-small
"""


def test_a_smaller_disk_is_refused_until_the_image_is_shrunk_for_it(new_site):
    site = new_site("bios", "gpt", {"size: 4GiB": "size: 2GiB"})
    site.run("apply", "--yes", expect=0)
    said = site.run("plan", "--explain", expect=EXIT_BLOCKED)
    assert f"image debian12-golden needs {3 << 30}" in said
    # The plan is laid out in lines; the command may go over several.
    (command,) = re.findall(r"`rackwright\s+(image\s+shrink[^`]*)`", said)
    assert shlex.split(command)[2:4] == ["debian12-golden", "debian12-golden-small"]
    site.run(*shlex.split(command), expect=0)
    assert "debian12-golden" in site.run("image", "show", "debian12-golden-small", expect=0)

    with (site.fleet / "images.yaml").open("a", encoding="utf-8") as images:
        images.write(SMALL)
    site.edit("scenarios.yaml", r"(restore:\n\s+image: debian12-golden)", r"\1-small")
    assert "DESTRUCTIVE 1" in site.run("plan", expect=EXIT_RISKY)
    site.run("apply", "--yes=1", expect=0)
    assert "Nothing to do" in site.run("plan", expect=0)

    assert {name: each["condition"] for name, each in site.status().items()} == {
        "golden": "Ready",
        "node-01": "Ready",
    }
    report = installed_system(site)
    assert report.installed.hostname == "node-01"
    assert "10.77.0.11/24" in report.installed.addresses

    site.rack.down()
    golden, clone = site.disk("golden"), site.disk("node-01")
    assert clone.stat().st_size == 2 << 30
    assert partitions(clone)[-1].end < clone.stat().st_size
    assert partitions(clone)[-1].uuid == partitions(golden)[-1].uuid
    assert file_system_size(clone) <= partitions(clone)[-1].size < partitions(golden)[-1].size
    assert file_on_disk(clone, "/etc/machine-id") != file_on_disk(golden, "/etc/machine-id")
