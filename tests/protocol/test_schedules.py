"""Schedules on simulated machines against a real ``serve``: a look, power off, power on."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from builders.simulated_site import simulated_site

pytestmark = pytest.mark.timeout(180)

SCHEDULE = """\
---
apiVersion: rackwright/v1alpha1
kind: Schedule
metadata: {name: %s}
spec:
  select: {machines: [%s]}
  action: {%s}
  when: {at: "%s"}
"""


def soon():
    return f"{datetime.now(UTC) + timedelta(seconds=3):%Y-%m-%dT%H:%M:%SZ}"


def test_what_is_scheduled_is_done_on_machines_and_told_with_its_results(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 2) as site:
        looked_at, switched = "sim-0001", "sim-0002"
        site.until(lambda: list(site.states("inspect").values()).count("verified") == 2)
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=2")
        machines = site.rack.machines
        site.until(lambda: machines[looked_at].stage == machines[switched].stage == "installed")

        file = site.fleet / "schedules.yaml"
        text = SCHEDULE % ("look-soon", looked_at, "scenario: look", soon())
        text += SCHEDULE % ("off-soon", switched, 'power: "off"', soon())
        file.write_text(text, "utf-8")
        site.commit("Look at one machine, switch the other one off")
        site.until(lambda: site.rack.machines[switched].stage == "off")
        site.until(lambda: results(site)["look-soon"] == {"verified": 1})
        assert results(site)["off-soon"] == {"done": 1}
        runs = json.loads(site.run("runs", "--format", "json"))["runs"]
        (run,) = [each for each in runs if each["kind"] == "schedule"]
        assert (run["by"], run["scenarios"]) == ("schedule look-soon", ["look"])
        shown = json.loads(site.run("schedule", "show", "off-soon", "--format", "json"))
        (part,) = shown["last"][0]["machines"]
        reason = "its system was asked to shut down: nothing was in the way"
        assert (part["machine"], part["reason"]) == (switched, reason)

        file.write_text(text + SCHEDULE % ("on-soon", switched, 'power: "on"', soon()), "utf-8")
        site.commit("Switch it on again")
        site.until(lambda: site.rack.machines[switched].stage == "installed")
        site.until(lambda: results(site)["on-soon"] == {"done": 1}, 120)
        assert "1 done" in site.run("schedule", "ls")


def results(site):
    """Return of each schedule how many machines stood where the last time."""
    document = json.loads(site.run("schedule", "ls", "--format", "json"))
    return {
        each["schedule"]: each["last"][0]["counts"] if each["last"] else {}
        for each in document["schedules"]
    }
