"""The reboot lock of a real ``serve``, asked by curl as Zincati asks."""

import json
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from attrs import evolve
from builders.world import a_report, an_installed_system
from git import Repo

from reconciler.app.project import Project
from reconciler.state.machines import Machines

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.timeout(150),
    pytest.mark.usefixtures("git_environment"),
]
APP_ID = "de35106b6ec24688b63afddaa156679b"
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: f}
spec:
  budgets: {disruptive: {atOnce: 1}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec:
  subnet: 10.77.0.0/24
  dhcp: {mode: proxy}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: row/a}
spec: {network: lab}
"""
MACHINE = """\
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-0%d}
spec:
  group: row/a
  hardware: {macs: ["52:54:00:77:00:0%d"]}
"""


def client_id(machine_id, tmp_path):
    """Return what systemd makes of a machine-id for Zincati."""
    file = tmp_path / "machine-id"
    file.write_text(f"{machine_id}\n", "ascii")
    inside = f"mount --bind {file} /etc/machine-id && exec systemd-id128 machine-id -a {APP_ID}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class Site:
    """A repository, a state in which two installed systems reported, and ``serve``."""

    def __init__(self, tmp_path, inside, boot_files):
        self.fleet, self.state = tmp_path / "fleet", tmp_path / "state"
        self._inside, self._boot_files = inside, boot_files
        self._log = (tmp_path / "serve.log").open("ab")
        self.fleet.mkdir()
        self.write("")
        project = Project(str(self.fleet), None, self.state)
        for number, machine in enumerate(project.fleet.machines.values(), 1):
            system = evolve(an_installed_system(machine, ""), machine_id=f"{number:032x}")
            report = a_report(machine, installed=system)
            Machines(project.database).record_report(machine, report, datetime.now(UTC))
        project.database.close()
        self.start()

    def write(self, lock):
        """Commit what the Fleet document says of the lock."""
        text = FLEET.replace("  budgets", f"  {lock}\n  budgets") if lock else FLEET
        (self.fleet / "fleet.yaml").write_text(text + MACHINE % (1, 1) + MACHINE % (2, 2), "utf-8")
        with Repo.init(self.fleet, initial_branch="main") as repository:
            repository.git.add(all=True)
            repository.git.commit("--message=Change the lock")

    def command(self, *arguments):
        where = ["--repo", str(self.fleet), "--state", str(self.state)]
        return [sys.executable, "-m", "reconciler.cli", *arguments, *where]

    def run(self, *arguments):
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout

    def start(self):
        serve = self.command("serve", "--boot-files", str(self._boot_files))
        self.server = subprocess.Popen([*self._inside, *serve], stdout=self._log, stderr=self._log)

    def stop(self):
        self.server.terminate()
        self.server.wait(30)

    def close(self):
        self.stop()
        self._log.close()

    def ask(self, what, client, address="https://10.77.0.1:8443"):
        """Return status and answer of one request; 0 while nobody listens."""
        body = json.dumps({"client_params": {"id": client, "group": "row.a"}})
        argv = ["curl", "-sS", "--cacert", str(self.state / "trust/authority.crt")]
        argv += ["-H", "fleet-lock-protocol: true", "-d", body, "-w", "\n%{http_code}"]
        done = subprocess.run(
            [*self._inside, *argv, f"{address}/v1/{what}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        *lines, status = done.stdout.splitlines() or ["0"]
        answer = {}
        with suppress(ValueError):
            answer = json.loads("".join(lines))
        return int(status), answer.get("kind", "")

    def until(self, condition):
        end, pause = monotonic() + 60, Event()
        while not condition():
            assert monotonic() < end, Path(self._log.name).read_text("utf-8")[-3000:]
            pause.wait(0.2)


@pytest.fixture
def site(tmp_path, namespace, boot_files):
    found = Site(tmp_path, namespace, boot_files)
    yield found
    found.close()


def test_machines_ask_a_real_server_before_they_restart(site, tmp_path):
    one, two = (client_id(f"{number:032x}", tmp_path) for number in (1, 2))
    plain = "http://10.77.0.1:8080"
    site.until(lambda: site.ask("pre-reboot", one) == (404, "failed_not_enabled"))

    site.write("rebootLock: {enabled: true}")
    site.until(lambda: site.ask("pre-reboot", one) == (200, ""))
    assert site.ask("pre-reboot", two) == (409, "failed_lock_semaphore_full")
    assert site.ask("pre-reboot", "f" * 32) == (403, "failed_unknown_client")
    assert site.ask("pre-reboot", one, plain) == (404, "failed_not_enabled")

    site.stop()
    site.start()
    site.until(lambda: site.ask("pre-reboot", two) == (409, "failed_lock_semaphore_full"))
    assert "may restart: node-01 of group row/a" in re.sub(r"\s+", " ", site.run("status"))
    said = site.run("lock", "release", "node-01", "--reason", "it burnt")
    assert said.startswith("released: node-01 of group row/a")
    site.until(lambda: site.ask("pre-reboot", two) == (200, ""))

    site.write("rebootLock: {enabled: true, plainHttp: true}")
    site.until(lambda: site.ask("steady-state", two, plain) == (200, ""))
    assert json.loads(site.run("lock", "ls", "--format", "json")) == {"locks": []}
