"""A ledger that was lost, restored, cut off or exchanged, under a real ``serve`` with machines."""

import hashlib
import json
import shutil
import signal
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest
from builders.simulated_site import simulated_site

from reconciler.state.database import open_database

pytestmark = pytest.mark.timeout(400)

NODES = ("sim-0001", "sim-0002", "sim-0003")
FIRST, SECOND, THIRD = NODES
DISKS = f"--yes={len(NODES)}"


class InstalledRack:
    """Machines that run what an operation installed, and copies of the state.

    ``earlier`` was taken while that operation was armed, ``whole`` after it was verified.
    """

    def __init__(self, site, consoles, directory):
        self.site = site
        self.rack = site.rack
        self.log = consoles / "serve.log"
        self.database = site.state / "rackwright.db"
        self.earlier, self.whole = directory / "earlier", directory / "whole"
        self.started = datetime.now(UTC)
        site.until(lambda: list(site.states("inspect").values()).count("verified") == len(NODES))
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        for name in NODES:
            self.rack.pull_cable(name)
        apply = site.start("apply", DISKS)
        site.until(lambda: site.states("restore") == dict.fromkeys(NODES, "armed"))
        self.copy(self.earlier)
        for name in NODES:
            self.rack.plug_cable(name)
        said, _ = apply.communicate(timeout=90)
        assert apply.returncode == 0, said
        site.until(lambda: all(self.is_acknowledged(name) for name in NODES))
        site.until(lambda: witnessed(site.state) == lines_of(self.database))
        self.copy(self.whole)
        self.as_installed = self.machines()

    def is_acknowledged(self, name):
        """Return whether a machine's agent was told that its operation is verified."""
        configs = (self.rack.path / "machines" / name / "systems").glob("*/etc/*/agent.json")
        return any(json.loads(path.read_bytes())["finished"] for path in configs)

    def copy(self, folder):
        """Copy the database, and what is known of it elsewhere, while the server runs."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with (
            closing(sqlite3.connect(self.database)) as source,
            closing(sqlite3.connect(folder / "rackwright.db")) as target,
        ):
            source.backup(target)
        for place in ("trust", "store"):
            (folder / place).mkdir()
            shutil.copy(self.site.state / place / "ledger.json", folder / place)

    def machines(self):
        """Return what must not change: what each machine does, its boots, and its disk."""
        return {
            name: (
                self.rack.machines[name].stage,
                len(self.rack.machines[name].boots),
                hashlib.sha256(self.rack.disk(name).read_bytes()).hexdigest(),
            )
            for name in NODES
        }

    def remove(self):
        """Remove the database."""
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)

    def restore(self, folder):
        """Put a copy of the database in place of what is there."""
        self.remove()
        shutil.copy(folder / "rackwright.db", self.database)

    def serve(self):
        """Start the server."""
        self.started = datetime.now(UTC)
        self.site.serve(self.log)

    def observes(self):
        """Return what ``status`` says of the ledger."""
        with self.site.start("status", "--format", "json") as process:
            said, _ = process.communicate(timeout=60)
        return json.loads(said)["observeOnly"]

    def have_asked(self):
        """Return whether every installed agent asked for work since the server was started."""
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute(
                "SELECT contact_name FROM machine_observation "
                "WHERE contact_environment = 'installed' AND contact_at > ?",
                [self.started.isoformat(timespec="microseconds")],
            ).fetchall()
        return {name for (name,) in rows} >= set(NODES)

    def assert_nothing_begins(self, *codes, asks=True):
        """Agents ask for work and get none, people are refused with the reason."""
        site = self.site
        site.until(lambda: (self.observes() or {}).get("since", "") != "")
        found = self.observes()
        assert found["code"] in codes, found
        if asks:
            site.until(self.have_asked, seconds=120)
        assert "RW741: the fleet is observe-only since" in site.run("apply", DISKS, expect=1)
        assert self.machines() == self.as_installed

    def accept(self):
        """Say a person's word; return what was answered."""
        return self.site.run("ledger", "accept", "--reason", "the test put it there")

    def put_back(self):
        """Put everything in place as it was before, with the server stopped."""
        self.restore(self.whole)
        for place in ("trust", "store"):
            shutil.copy(self.whole / place / "ledger.json", self.site.state / place)


@contextmanager
def installed_rack(tmp_path, consoles):
    """Yield machines that run what was installed on them."""
    with simulated_site(tmp_path, consoles, len(NODES)) as site:
        yield InstalledRack(site, consoles, tmp_path)


def empty(rack):
    rack.remove()
    rack.database.touch()


def foreign(rack):
    rack.remove()
    open_database(rack.database).close()


def truncated(rack):
    with closing(sqlite3.connect(rack.database)) as connection:
        connection.execute("DROP TRIGGER ledger_refuses_DELETE")
        connection.execute(
            "DELETE FROM ledger WHERE sequence > (SELECT max(sequence) FROM ledger) - 2"
        )
        connection.commit()


def witnessed(state):
    """Return up to which line both places outside the database know the ledger."""
    places = (state / place / "ledger.json" for place in ("trust", "store"))
    return min(json.loads(path.read_bytes())["line"] for path in places)


def lines_of(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT max(sequence) FROM ledger").fetchone()[0]


def test_no_other_database_starts_anything(tmp_path, keep_consoles):
    with installed_rack(tmp_path, keep_consoles) as rack:
        for make, code in (
            (lambda each: each.restore(each.earlier), "RW742"),
            (empty, "RW743"),
            (InstalledRack.remove, "RW743"),
            (foreign, "RW743"),
            (truncated, "RW742"),
        ):
            rack.site.end_server()
            rack.put_back()
            make(rack)
            rack.serve()
            rack.assert_nothing_begins(code)


def test_a_database_without_its_log_starts_nothing(tmp_path, keep_consoles):
    with installed_rack(tmp_path, keep_consoles) as rack:
        site = rack.site
        rack.rack.pull_cable(FIRST)
        site.run("run", "clone-golden", "--on", FIRST, "--reason", "x", "--yes=1", "--no-wait")
        site.run("cancel", FIRST, "--reason", "enough", "--yes")
        site.until(lambda: witnessed(site.state) > lines_of(rack.whole / "rackwright.db"))
        rack.rack.plug_cable(FIRST)
        site.end_server(signal.SIGKILL)
        for suffix in ("-wal", "-shm"):
            rack.database.with_name(rack.database.name + suffix).unlink()
        rack.serve()
        # What the file itself has depends on when SQLite moved the log into it: maybe nothing.
        rack.assert_nothing_begins("RW742", "RW743")


def replaced(rack):
    copy = rack.database.with_name("copy")
    shutil.copy(rack.earlier / "rackwright.db", copy)
    copy.replace(rack.database)
    for suffix in ("-wal", "-shm"):
        rack.database.with_name(rack.database.name + suffix).unlink()


def test_what_happens_to_the_database_of_a_running_server_is_noticed(tmp_path, keep_consoles):
    with installed_rack(tmp_path, keep_consoles) as rack:
        for change, code in (
            (truncated, "RW742"),
            (InstalledRack.remove, "RW745"),
            (replaced, "RW745"),
        ):
            change(rack)
            rack.assert_nothing_begins(code, asks=False)
            if change is not replaced:
                rack.site.end_server()
                rack.put_back()
                rack.serve()
                rack.site.until(rack.have_asked, seconds=120)
        # A person takes the copy while the server runs: it goes on with what lies there.
        assert "approvals taken back: 3" in rack.accept()
        rack.started = datetime.now(UTC)
        rack.site.until(rack.have_asked, seconds=120)
        rack.site.run("run", "clone-golden", "--on", FIRST, "--reason", "anew", "--yes=1")


def test_accept_begins_nothing_and_work_is_possible_again(tmp_path, keep_consoles):
    with installed_rack(tmp_path, keep_consoles) as rack:
        site = rack.site
        site.end_server()
        rack.restore(rack.earlier)
        rack.serve()
        rack.assert_nothing_begins("RW742")
        assert site.run("status", expect=1).startswith("the fleet is observe-only since")
        by_hand = ["run", "clone-golden", "--on", FIRST, "--reason", "again", "--yes=1"]
        assert "RW741" in site.run(*by_hand, expect=1)
        with site.start("plan") as process:
            assert "the fleet is observe-only since" in process.communicate(timeout=60)[0]
        said = rack.accept()
        assert "approvals taken back: 3" in said
        site.until(rack.have_asked, seconds=120)
        assert rack.observes() is None
        assert site.states("restore") == dict.fromkeys(NODES, "planned")
        assert rack.machines() == rack.as_installed

        # A person approves once more what the machines did already: they refuse it.
        site.run("apply", DISKS, expect=1)
        assert site.states("restore") == dict.fromkeys(NODES, "failed")
        assert "RW574" in site.operations("restore")[FIRST].reason
        assert rack.machines() == rack.as_installed
        assert rack.observes() is None
        site.run("breaker", "reset", "--reason", "the ledger was an older one")
        site.run("run", "clone-golden", "--on", FIRST, "--reason", "anew", "--yes=1")
        assert site.states("restore")[FIRST] == "verified"


def test_agents_know_what_no_copy_of_the_whole_state_can_know(tmp_path, keep_consoles):
    with installed_rack(tmp_path, keep_consoles) as rack:
        site = rack.site
        site.end_server()
        rack.restore(rack.earlier)
        for place in ("trust", "store"):
            shutil.copy(rack.earlier / place / "ledger.json", site.state / place)
        for name in (SECOND, THIRD):
            rack.rack.power_off(name)
        before = rack.machines()
        rack.serve()
        site.until(lambda: site.states("restore")[FIRST] == "failed")
        assert "RW574" in site.operations("restore")[FIRST].reason
        assert rack.observes() is None
        assert rack.machines()[FIRST] == before[FIRST]

        # One of the others, started or woken, gets the boot grant of the earlier ledger.
        rack.rack.power_on(SECOND)
        site.until(lambda: (rack.observes() or {}).get("code") == "RW746", seconds=120)
        restores = site.operations("restore")
        refused = [name for name in (SECOND, THIRD) if restores[name].state == "failed"]
        assert refused
        assert all("RW573" in restores[name].reason for name in refused)
        for name in (SECOND, THIRD):
            assert rack.machines()[name][2] == before[name][2]
