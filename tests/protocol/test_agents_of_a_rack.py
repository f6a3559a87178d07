"""`rackwright agent` beside a real ``serve`` and the agent of an installed system."""

import json

import pytest
from builders.simulated_site import simulated_site

pytestmark = pytest.mark.timeout(180)


def test_a_running_server_takes_over_a_rollover_and_a_revocation(tmp_path, keep_consoles):
    with simulated_site(tmp_path, keep_consoles, 2, clones=1) as site:
        log = keep_consoles / "serve.log"
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        site.run("apply", "--yes=1")

        def listed():
            return json.loads(site.run("agent", "ls", "--format", "json"))["agents"]

        (agent,) = listed()
        assert agent["state"] == "valid"
        assert agent["contact"]

        site.run("agent", "authority", "roll", "--reason", "drill")
        site.until(lambda: "the authority has changed" in log.read_text())
        keys = json.loads(site.run("agent", "authority", "--format", "json"))["keys"]
        assert [(each["is_present"], each["agents"]) for each in keys] == [(True, 0), (False, 1)]

        site.run("agent", "revoke", agent["name"], "--reason", "sold")
        site.until(lambda: "agent refused" in log.read_text())
        refused = next(line for line in log.read_text().splitlines() if "agent refused" in line)
        assert "code=RW520" in refused
        assert f"machine={agent['name']}" in refused
        assert listed()[0]["state"] == "revoked"
