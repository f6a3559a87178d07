"""What machines install by themselves, on simulated machines with a real ``serve``."""

import json

import pytest
from builders.simulated_site import simulated_site

from providers.lab.simulate.simulated_packages import SOFTWARE

pytestmark = pytest.mark.timeout(240)

PACKAGE = """\
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: %s}
spec:
  type: %s
  version: "%s"
  urgency: %s
  targets: [{family: %s}]
  setup: {by: apt}
  reboot: %s
"""
POLICY = """\
---
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: office}
spec:
  select: {machines: [sim-*]}
  packages: [editor]
  checks: {atStartup: true}
%s
"""
CLONES = ("sim-0001", "sim-0002")
WHY = ("--reason", "to try it")


def software(site, machine):
    """Return what is installed on the newest system of a machine."""
    found = (site.rack.path / "machines" / machine).glob(f"systems/*/{SOFTWARE}")
    return {
        name: version for path in found for name, version in json.loads(path.read_bytes()).items()
    }


def updates(site):
    said = site.run("updates", "status", "--format", "json", expect=None)
    (policy,) = json.loads(said)["policies"]
    return {each["name"]: each for each in policy["packages"]}


def test_machines_install_by_themselves_restart_once_and_say_what_they_have(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=2")
        machines = site.rack.machines
        site.until(lambda: {machines[each].stage for each in CLONES} == {"installed"})
        (site.fleet / "updates.yaml").write_text(
            PACKAGE % ("editor", "application", "9.1", "normal", "debian", "never")
            + PACKAGE % ("kernel-fix", "patch", "6.1", "highest", "debian", "always")
            + PACKAGE % ("for-others", "patch", "1", "highest", "windows", "never")
            + POLICY % "",
            "utf-8",
        )
        site.commit("Machines update themselves")
        said = site.run("plan", expect=3)
        assert "policy office has it install editor, for-others, kernel-fix by itself" in said
        site.until(lambda: updates(site)["kernel-fix"]["have"] == 2, 120)
        found = updates(site)
        assert {name: (each["have"], each["otherSystems"]) for name, each in found.items()} == {
            "editor": (2, 0),
            "kernel-fix": (2, 0),
            "for-others": (0, 2),
        }
        assert software(site, "sim-0001") == {"editor": "9.1", "kernel-fix": "6.1"}
        assert site.run("plan", expect=0)
        assert "kernel-fix 6.1" in site.run("updates", "show", "sim-0001")
        site.run("updates", "status", expect=0)
        assert "no machine holds the reboot lock" in site.run("lock", "ls", expect=0)
