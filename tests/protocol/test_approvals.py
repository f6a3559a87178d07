"""Two persons approve a restore: one by login, one by a signed tag that ``serve`` finds."""

import json
import os
import pwd
import subprocess

import pytest
from builders.signed_commits import SshKey
from builders.simulated_site import simulated_site

from providers.lab.simulate.disk import NotBootableError, system_on

pytestmark = pytest.mark.timeout(180)

NODE = "sim-0001"
RULES = """\
  approvals:
    persons:
      - {{name: Ada, logins: ["{login}"], emails: [ada@example.org], roles: [operator]}}
      - {{name: Bob, keys: ["{key}"], emails: [bob@example.org], roles: [operator]}}
    destructive: {{roles: [operator], persons: 2, excludeAuthor: true}}
"""


def is_bootable(disk):
    try:
        return bool(system_on(disk))
    except NotBootableError:
        return False


def test_a_disk_is_overwritten_once_two_persons_approved_it(tmp_path, keep_consoles):
    key = SshKey(tmp_path, "bob")
    with simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("inspect") == {NODE: "verified"})
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        login = pwd.getpwuid(os.getuid()).pw_name
        fleet = site.fleet / "fleet.yaml"
        text = fleet.read_text("utf-8")
        rules = RULES.format(login=login, key=key.public)
        fleet.write_text(text.replace("  commits:", f"{rules}  commits:", 1), "utf-8")
        site.commit("Two persons")

        said = site.run("apply", "--yes=1", "--reason", "change 1", expect=4)
        assert "given by Ada until" in said
        assert "1 more, by Bob." in said
        assert site.states("restore") == {NODE: "planned"}
        assert not is_bootable(site.rack.disk(NODE))
        assert "waits for approval" in site.run("status", "--full", expect=1)

        (waiting,) = json.loads(site.run("approvals", "--format", "json"))["approvals"]
        name = f"approve/{waiting['digest'][:12]}"
        subprocess.run(
            ["git", *key.options, "tag", "-s", "-m", "change 1", name, waiting["revision"]],
            cwd=site.fleet,
            check=True,
            capture_output=True,
        )
        site.until(lambda: site.states("restore") == {NODE: "verified"})
        assert is_bootable(site.rack.disk(NODE))
        run, *_ = json.loads(site.run("runs", "--format", "json"))["runs"]
        assert (run["plan"], run["by"]) == (waiting["digest"], "Ada, Bob")
