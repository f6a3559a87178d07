"""Scenarios that agents of installed systems do, on simulated machines with a real ``serve``."""

import json
import stat

import pytest
from builders.simulated_site import simulated_site

from providers.lab.simulate.installed_steps import COMMANDS, ROOT
from providers.lab.simulate.simulated_packages import SOFTWARE

pytestmark = pytest.mark.timeout(240)

SCENARIO = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  steps:
%s
"""
CLONES = ("sim-0001", "sim-0002")
WHY = ("--reason", "to try it")


def scenario(name, *commands):
    return SCENARIO % (name, "".join(f"    - run: {{command: {each}}}\n" for each in commands))


def stage_of(site, machine):
    return site.rack.machines[machine].stage


def commands_of(site, machine):
    """Return what was given to the installed system of a machine."""
    found = (site.rack.path / "machines" / machine).glob(f"systems/*/{COMMANDS}")
    return [json.loads(line) for path in found for line in path.read_text("utf-8").splitlines()]


def test_commands_run_once_on_installed_systems_and_wait_for_agents_that_are_away(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 2)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        file = site.fleet / "scenarios.yaml"
        file.write_text(
            scenario("renew", "[systemctl, restart, chrony]", "[logger, renewed]")
            + scenario("breaks", "[logger, before]", "[exit, '3']", "[logger, after]"),
            "utf-8",
        )
        site.commit("Commands for installed systems")
        # A machine without an agent: said before anything is approved.
        said = site.run("run", "renew", "--on", "sim-0001", *WHY, "--yes=0", expect=1)
        assert "no agent was ever heard on its installed system" in said
        site.run("apply", "--yes=2")
        site.until(lambda: {stage_of(site, each) for each in CLONES} == {"installed"})

        said = site.run("run", "renew", "--on", "sim-0001", *WHY, "--yes=0")
        assert "runs `systemctl restart chrony` and runs `logger renewed`" in said
        assert site.states("service") == {"sim-0001": "verified"}
        renewed = [["systemctl", "restart", "chrony"], ["logger", "renewed"]]
        assert commands_of(site, "sim-0001") == renewed
        assert commands_of(site, "sim-0002") == []

        # What fails ends there, says why, and the system goes on.
        said = site.run("run", "breaks", "--on", "sim-0001", *WHY, "--yes=0", expect=1)
        assert "RW590: `exit 3` ended with status 3" in said
        assert commands_of(site, "sim-0001") == [*renewed, ["logger", "before"], ["exit", "3"]]

        # An agent that is away is waited for, and its machine is neither woken nor restarted.
        site.rack.power_off("sim-0002")
        site.run("run", "renew", "--on", "sim-0002", *WHY, "--yes=0", "--no-wait")
        assert site.states("service")["sim-0002"] in {"approved", "armed"}
        assert stage_of(site, "sim-0002") == "off"
        site.rack.power_on("sim-0002")
        site.until(lambda: commands_of(site, "sim-0002") == renewed)
        site.until(lambda: site.states("service")["sim-0002"] == "verified")
        assert {each.attempt for each in site.operations("service").values()} == {1}


PACKAGES = """\
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: %s}
spec:
  type: %s
  version: "%s"
  targets: [{family: debian}]
  setup: {by: apt}
  reboot: %s
"""
INSTALLS = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  steps:
    - packages: {install: [%s]}
"""


def test_packages_are_there_after_one_restart_and_a_broken_one_is_told_with_its_evidence(
    tmp_path, keep_consoles
):
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=1")
        site.until(lambda: stage_of(site, "sim-0001") == "installed")
        (site.fleet / "packages.yaml").write_text(
            PACKAGES % ("editor", "application", "9.1", "never")
            + PACKAGES % ("kernel-fix", "patch", "6.1", "always")
            + PACKAGES % ("broken-tool", "application", "1.0", "never")
            + INSTALLS % ("refresh", "editor, kernel-fix")
            + INSTALLS % ("breaks", "broken-tool, editor"),
            "utf-8",
        )
        site.commit("Packages")
        boots = len(site.rack.machines["sim-0001"].boots)
        said = site.run("run", "refresh", "--on", "sim-0001", *WHY, "--yes=0")
        assert "installs editor, kernel-fix" in said
        assert software_of(site, "sim-0001") == {"editor": "9.1", "kernel-fix": "6.1"}
        assert len(site.rack.machines["sim-0001"].boots) == boots + 1
        shown = site.run("runs", "show", run_of(site, "refresh"))
        assert "kernel-fix  installed  6.1" in shown

        site.run("run", "breaks", "--on", "sim-0001", *WHY, "--yes=0", expect=1)
        shown = site.run("runs", "show", run_of(site, "breaks"))
        assert "RW593: 1 of 2 packages are not there: broken-tool." in shown
        assert "editor  present  9.1" in shown
        assert "simulated: broken-tool cannot be installed" in shown


FILES = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: bring}
spec:
  steps:
    - files:
        copy:
          - {source: files/motd, target: "%(folder)s/motd", mode: "0640"}
          - {source: files/tree, target: "%(folder)s/tree"}
        remove: ["%(folder)s/old"]
"""


def test_files_of_the_commit_are_brought_and_what_was_there_is_kept(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=1")
        site.until(lambda: stage_of(site, "sim-0001") == "installed")
        system = next((site.rack.path / "machines/sim-0001/systems").iterdir())
        folder = system / ROOT / "srv/files"
        folder.mkdir(parents=True)
        (folder / "old").write_text("older", "utf-8")
        (folder / "motd").write_text("before", "utf-8")
        files = site.fleet / "files"
        (files / "tree/deep").mkdir(parents=True)
        (files / "motd").write_text("a new day", "utf-8")
        (files / "tree/deep/tool").write_text("#!/bin/sh", "utf-8")
        (files / "tree/deep/tool").chmod(0o755)
        (site.fleet / "files.yaml").write_text(FILES % {"folder": "/srv/files"}, "utf-8")
        site.commit("Files")
        (files / "motd").write_text("not committed", "utf-8")
        said = site.run("run", "bring", "--on", "sim-0001", *WHY, "--yes=0")
        assert "brings 2 files and removes 1 file" in said
        assert (folder / "motd").read_text("utf-8") == "a new day"
        assert stat.S_IMODE((folder / "motd").stat().st_mode) == 0o640
        assert stat.S_IMODE((folder / "tree/deep/tool").stat().st_mode) == 0o755
        assert not (folder / "old").exists()
        (kept,) = (system / "var/lib/rackwright/files").iterdir()
        assert (kept / folder.relative_to("/") / "motd").read_text("utf-8") == "before"
        assert not (system / "var/lib/rackwright/fetched").exists()

        (site.fleet / "files.yaml").write_text(
            (FILES % {"folder": "/srv/files"}).replace("files/motd", "files/none"), "utf-8"
        )
        site.commit("A file that is not there")
        site.run("run", "bring", "--on", "sim-0001", *WHY, "--yes=0", expect=1)
        shown = site.run("runs", "show", run_of(site, "bring"))
        assert "RW280: the repository has no files/none at" in shown


def software_of(site, machine):
    (path,) = (site.rack.path / "machines" / machine).glob(f"systems/*/{SOFTWARE}")
    return json.loads(path.read_bytes())


def run_of(site, scenario):
    runs = json.loads(site.run("runs", "--format", "json"))["runs"]
    return next(each["run"] for each in runs if each["scenarios"] == [scenario])
