"""Disks of a simulated rack are overwritten wave by wave, against a real ``serve``."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest
from builders.simulated_site import simulated_site

pytestmark = pytest.mark.timeout(300)

WHY = ("--reason", "a test")
PORT = 8999
ROLLOUT = f"""\
  rollout:
    waves:
      - name: canary
        select: {{machines: [sim-0003]}}
      - percent: 50
    health:
      soak: 3s
      within: 10s
      url: http://10.77.0.1:{PORT}/{{machine}}
      command: [is-well, "{{address}}"]
"""
ASSIGNED = "  assign: [{scenario: clone-golden, run: 1}]\n"
PROGRAM = """\
#!/bin/sh
echo "$RACKWRIGHT_MACHINE $1" >> "$0.log"
test ! -e "$0.ill-$RACKWRIGHT_MACHINE" || { echo 'three services are down'; exit 2; }
"""


@contextmanager
def web(site, folder):
    """Answer in the rack for each machine that has a file in a folder."""
    folder.mkdir()
    address = ("--bind", "10.77.0.1", "--directory", folder, str(PORT))
    command = site.rack.inside([sys.executable, "-m", "http.server", *map(str, address)])
    with (folder.parent / "web.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)


def a_program(site):
    folder = site.state / "health-checks"
    folder.mkdir()
    program = folder / "is-well"
    program.write_text(PROGRAM, "utf-8")
    return program


def test_waves_follow_each_other_halt_at_a_sick_machine_and_end_by_a_persons_word(
    tmp_path, keep_consoles
):
    with (
        simulated_site(tmp_path, keep_consoles, 5) as site,
        web(site, tmp_path / "well"),
    ):
        site.until(lambda: len(site.states("inspect")) == 5)
        fleet = site.fleet / "fleet.yaml"
        text = fleet.read_text("utf-8")
        assert ASSIGNED in text
        fleet.write_text(text.replace(ASSIGNED, ASSIGNED + ROLLOUT), "utf-8")
        site.commit("In waves")

        said = site.run("plan", "--full", expect=3)
        assert "Rollout of simulated/clones: 5 machines in 3 waves: canary (1), 50 % (2)," in said
        assert "wave 1 of 3 (canary)" in said
        missing = site.run("apply", "--yes=5", expect=1)
        assert "RW658: the health check of the rollout of simulated/clones cannot be" in missing
        assert site.states("restore") == {}
        program = a_program(site)
        assert "is not executable" in site.run("apply", "--yes=5", expect=1)
        program.chmod(0o755)

        for name in ("sim-0001", "sim-0002", "sim-0003", "sim-0004"):
            (tmp_path / "well" / name).touch()
        ill = program.with_name("is-well.ill-sim-0002")
        ill.touch()
        apply = site.start("apply", "--yes=5")
        site.until(lambda: site.states("restore").get("sim-0001") == "started")
        states = site.states("restore")
        assert states.pop("sim-0002") in {"approved", "armed", "claimed", "started"}
        assert states == {
            "sim-0001": "started",
            "sim-0003": "verified",
            "sim-0004": "approved",
            "sim-0005": "approved",
        }
        told, _ = apply.communicate(timeout=120)
        assert apply.returncode == 1
        assert "RW654: rollout" in told
        assert "is-well ended with status 2: three services are down" in told
        status = json.loads(site.run("status", "--format", "json", expect=1))
        (rollout,) = status["rollouts"]
        assert (rollout["state"], rollout["wave"]) == ("halted", 2)
        assert "is halted: sim-0002 failed" in site.run("status", expect=1)
        asked = program.with_name("is-well.log").read_text("utf-8").split()
        assert asked[:2] == ["sim-0003", "10.77.1.12"]

        name = rollout["rollout"]
        assert "RW941" in site.run("rollout", "resume", name, expect=1)
        site.run("rollout", "resume", name, *WHY)
        site.until(lambda: site.states("restore").get("sim-0004") == "verified")
        site.until(lambda: "halted" in site.run("rollout"))
        shown = site.run("rollout", "show", name)
        assert "sim-0002  accepted" in shown
        assert f"http://10.77.0.1:{PORT}/sim-0005 answered 404" in shown
        site.run("rollout", "abort", name, *WHY)
        assert json.loads(site.run("rollout", "--format", "json"))["rollouts"][0]["state"] == (
            "aborted"
        )
        assert "RW656" in site.run("rollout", "resume", name, *WHY, expect=1)


def test_an_aborted_rollout_leaves_the_machines_of_later_waves_alone(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 3) as site:
        fleet = site.fleet / "fleet.yaml"
        text = fleet.read_text("utf-8")
        waves = "  rollout: {waves: [{percent: 34}], health: {soak: 10m}}\n"
        fleet.write_text(text.replace(ASSIGNED, ASSIGNED + waves), "utf-8")
        site.commit("In waves")
        before = site.rack.disk("sim-0003").read_bytes()
        site.run("approve", "--yes=3", *WHY)
        site.until(lambda: site.states("restore").get("sim-0001") == "verified")
        (rollout,) = json.loads(site.run("rollout", "--format", "json"))["rollouts"]
        said = site.run("rollout", "abort", rollout["rollout"], *WHY)
        assert "operations cancelled: 1" in said
        site.until(lambda: site.states("restore").get("sim-0002") == "verified")
        assert site.states("restore")["sim-0003"] == "cancelled"
        assert site.rack.disk("sim-0003").read_bytes() == before
