"""A Debian whose root lies on LVM, captured and cloned in the rack."""

import pytest
from builders.lab_site import CACHE, digest_of

from providers.lab.golden.identity import DiskIdentity
from tests.lab.lvm_golden import GROUP, make_golden_on_lvm
from tests.lab.test_main_job import installed_system, log_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


@pytest.mark.nightly
def test_a_system_on_lvm_is_cloned_and_reports_from_its_own_volumes(new_site):
    site = new_site("bios", "gpt")
    disk = site.disk("golden")
    identity = DiskIdentity.random("golden", "")
    make_golden_on_lvm(disk, disk.stat().st_size, CACHE / "golden", identity)
    golden = digest_of(disk)

    site.run("apply", "--yes", expect=0)
    shown = site.run("image", "show", "debian12-golden", expect=0)
    assert f"{GROUP}/root" in shown
    assert "a clone can get an identity of its own" in shown
    assert "DESTRUCTIVE 1" in site.run("plan", expect=3)
    site.run("apply", "--yes=1", expect=0)
    assert "Nothing to do" in site.run("plan", expect=0)

    assert {name: each["condition"] for name, each in site.status().items()} == {
        "golden": "Ready",
        "node-01": "Ready",
    }
    report = installed_system(site)
    assert report.installed.hostname == "node-01"
    assert "10.77.0.11/24" in report.installed.addresses
    assert report.installed.machine_id != identity.machine_id
    assert "LVM2_member" in log_of(site, "disks").partition("after the last step")[2]
    site.rack.down()
    assert digest_of(disk) == golden
