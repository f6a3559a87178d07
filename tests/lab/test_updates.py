"""A Debian machine of the rack keeps itself up to date from a signed apt repository, for real."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from builders.package_root import make_deb
from builders.rack_web import PORT, web

from reconciler.server.state_lock import is_served

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

SERVER = "10.77.0.1"
SOURCES = f"deb [signed-by=/etc/apt/keyrings/rack.gpg] http://{SERVER}:{PORT}/ ./\n"
OWN_SOURCES = """\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: own-sources}
spec:
  steps:
    - files:
        copy:
          - {source: files/rack.gpg, target: /etc/apt/keyrings/rack.gpg}
          - {source: files/sources.list, target: /etc/apt/sources.list}
"""
UPDATES = """\
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: lab}
spec:
  select: {machines: [node-01]}
  urgency: highest
  install: {windows: [{begin: "%s", end: "%s"}], timeZone: UTC, countdown: 5s}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: word}
spec:
  type: patch
  version: "%s"
  urgency: highest
  bulletin: CVE-2026-0001
  targets: [{family: debian}]
  setup: {by: apt}
  reboot: always
"""


class Repository:
    """A folder that apt takes packages from, signed by a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        home = folder / "gnupg"
        home.mkdir(mode=0o700)
        self._environment = {**os.environ, "GNUPGHOME": str(home)}
        self._run(
            *("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"),
            *("rack", "ed25519", "sign", "never"),
        )
        self.key = self._run("gpg", "--export", "rack")

    def add(self, version: str, **scripts: str) -> None:
        """Publish a version of the package."""
        make_deb(self.folder, "word", version, scripts=scripts)
        (self.folder / "Packages").write_bytes(self._run("apt-ftparchive", "packages", "."))
        (self.folder / "Release").unlink(missing_ok=True)
        release = self._run("apt-ftparchive", "release", ".")
        (self.folder / "Release").write_bytes(release)
        signed = ("gpg", "--batch", "--yes", "--local-user", "rack", "--clearsign")
        self._run(*signed, "-o", "InRelease", "Release")

    def _run(self, *command: str) -> bytes:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, check=True
        )
        return done.stdout


def until(condition, seconds=900):
    end, pause = time.monotonic() + seconds, Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(5)


def shown(site):
    return json.loads(site.run("updates", "show", "node-01", "--format", "json", expect=0))


def result(site):
    """Return what became of the package on the machine last; nothing before it said so."""
    state = shown(site)["state"] or {"packages": []}
    return {each["package"]: each for each in state["packages"]}.get("word", {})


def order(site, version, begin, end):
    (site.fleet / "updates.yaml").write_text(UPDATES % (begin, end, version), "utf-8")
    site.commit(f"word {version}")


def test_debian_goes_from_old_to_new_within_its_window_and_a_broken_package_stands(
    new_site, tmp_path
):
    repository = Repository(tmp_path)
    repository.add("1.0")
    site = new_site("bios", "gpt")
    site.run("apply", "--yes", expect=0)
    site.run("apply", "--yes=1", expect=0)
    (site.fleet / "files").mkdir()
    (site.fleet / "files/rack.gpg").write_bytes(repository.key)
    (site.fleet / "files/sources.list").write_text(SOURCES, "utf-8")
    (site.fleet / "sources.yaml").write_text(OWN_SOURCES, "utf-8")
    site.commit("The machines' own sources")
    with web(site.rack.exec_argv, repository.folder), site.running("serve"):
        until(lambda: is_served(site.state))
        why = ("--reason", "its own sources")
        site.run("run", "own-sources", "--on", "node-01", *why, "--yes=0", expect=0)

        # Outside its window it looks and waits.
        now = datetime.now(UTC)
        later = [f"{now + timedelta(hours=hours):%H:%M}" for hours in (2, 3)]
        order(site, "1.0", *later)
        until(lambda: (shown(site)["state"] or {}).get("phase") == "waiting")
        assert "outside the windows of policy lab" in shown(site)["state"]["why"]
        assert not result(site)

        order(site, "1.0", "00:00", "24:00")
        until(lambda: result(site).get("state") == "installed" and not result(site)["wantsRestart"])
        assert result(site)["versionAfter"] == "1.0"

        repository.add("2.0")
        order(site, "2.0", "00:00", "24:00")
        until(lambda: result(site).get("versionAfter") == "2.0")
        until(lambda: not result(site)["wantsRestart"])
        assert (result(site)["state"], result(site)["versionBefore"]) == ("installed", "1.0")
        said = site.run("updates", "status", expect=0)
        assert "word 2.0 (CVE-2026-0001)  1 of 1  have it" in said
        assert "no machine holds the reboot lock" in site.run("lock", "ls", expect=0)

        # A broken one is told with its evidence, and the machine goes on.
        repository.add("3.0", postinst="echo this cannot work; exit 1")
        order(site, "3.0", "00:00", "24:00")
        until(lambda: result(site).get("version") == "3.0" and result(site).get("code"))
        assert "this cannot work" in result(site)["output"]
        assert "word 3.0 (CVE-2026-0001)  0 of 1" in site.run("updates", "status", expect=1)
