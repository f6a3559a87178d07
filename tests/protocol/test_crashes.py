"""The server dies, has no room, or loses its power: nothing happens twice, nothing is lost.

What must hold afterwards is ``builders.crash_site.broken_promises``.
"""

import shutil
import sqlite3
import time
from contextlib import closing
from functools import partial

import pytest
from builders.crash_site import FAILING, broken_promises, crash_site
from builders.failpoints_of_source import BESIDE, POINTS, SOMETIMES, WRITES
from builders.own_disk import own_disk
from builders.simulated_site import SECONDS

pytestmark = pytest.mark.timeout(900)


def captured(site):
    return lambda: site.states("capture") == {"golden": "verified"}


def inspected(site, count):
    return list(site.states("inspect").values()).count("verified") == count


def restored(site, count):
    return lambda: list(site.states("restore").values()).count("verified") == count


BEFORE = frozenset(
    point for point in POINTS if point.endswith((":transaction.before", ":file.before"))
)
"""Killed there, a server has done no more than one that was killed after the write of before."""


@pytest.mark.parametrize(
    "spared",
    [
        pytest.param(BEFORE, id="after each write"),
        pytest.param(frozenset(), id="before it, too", marks=pytest.mark.nightly),
    ],
)
def test_a_server_that_is_killed_at_each_failpoint_does_nothing_twice_and_loses_nothing(
    tmp_path, keep_consoles, spared
):
    reached, spared = tmp_path / "reached", spared | BESIDE
    reached.write_text("".join(f"{point}\n" for point in sorted(spared)))
    killing = (*FAILING, "kill", str(reached))
    with crash_site(tmp_path, keep_consoles, 3) as site:
        left = site.state / "proof/of-a-server-that-was-killed"
        left.mkdir(parents=True)
        site.work_on(lambda: captured(site)() and inspected(site, 3), *killing)
        assert not left.exists()
        before, after = tmp_path / "before", tmp_path / "after"
        point = "kill=approvals.PlanApprovals._record:transaction"
        for file, side in ((before, "before"), (after, "after")):
            assert site.states("restore") == {}
            killing_once = (*FAILING, f"{point}.{side}", str(file))
            site.run("apply", "--yes=3", expect=-9, program=killing_once)
        assert set(site.states("restore")) == {"sim-0001", "sim-0002", "sim-0003"}
        site.work_on(restored(site, 3), *killing)
        passed = set(reached.read_text().split())
        assert POINTS - passed == set()
        assert passed - POINTS - SOMETIMES - BESIDE == set()
        assert site.kills == len(passed - spared)
        assert broken_promises(site) == []
        site.until(lambda: set(site.conditions().values()) == {"Ready"})
        site.run("plan", expect=0)
        assert {each.attempt for each in site.operations("restore").values()} == {1}


def test_a_disk_that_is_full_at_each_write_is_said_and_work_goes_on_afterwards(
    tmp_path, keep_consoles
):
    reached = tmp_path / "reached"
    full = (*FAILING, "full", str(reached))
    with crash_site(tmp_path, keep_consoles, 2) as site:
        site.work_on(captured(site), *full)
        fleet = site.fleet / "fleet.yaml"
        fleet.write_text(f"{fleet.read_text('utf-8')}# Another revision\n", "utf-8")
        site.commit("Another revision")
        taken = "accepted_revisions.AcceptedRevisions.add:transaction.before"
        site.until(lambda: taken in reached.read_text().split())
        site.run("apply", "--yes=2")
        assert WRITES - set(reached.read_text().split()) == set()
        assert broken_promises(site) == []


# --- the power of the server fails ----------------------------------------------------

KEPT_AT = (
    "accepted_revisions.AcceptedRevisions.add:transaction.after",
    "reconcile.Reconciler._arm:transaction.after",
    "grants.Grants.use_token:transaction.after",
    "control_plane.ControlPlane.claim:transaction.after",
    "store.ChunkStore.put_manifest:image.after",
    "image_names.ImageNames.tag:file.after",
    "ledger.Ledger.move:transaction.after",
)
QUERIES = (
    "SELECT * FROM ledger",
    "SELECT * FROM boot_grant",
    "SELECT * FROM enrollment_token",
    "SELECT * FROM capture",
    "SELECT * FROM run",
    "SELECT * FROM accepted_revision",
)


def kept(directory, copy):
    """Return what a state directory has of all that must not be lost.

    SQLite looks at a copy: it would write to the medium what is only in memory.
    """
    state = shutil.copytree(directory, copy)
    with closing(sqlite3.connect(state / "rackwright.db")) as base:
        rows = {query: base.execute(query).fetchall() for query in QUERIES}
    folders = ("trust", "store/images", "store/tags", "store/chunks")
    files = [path for folder in folders for path in (state / folder).rglob("*") if path.is_file()]
    return rows, {path.relative_to(state).as_posix(): path.read_bytes() for path in sorted(files)}


def ended_or_helped(site, server):
    site.start_stranded()
    site.approve_when_idle()
    return server.poll() is not None


@pytest.mark.needs_root
def test_what_is_done_is_on_the_medium_when_the_power_of_the_server_fails(tmp_path, keep_consoles):
    with (
        own_disk(tmp_path, tmp_path / "state") as disk,
        crash_site(tmp_path, keep_consoles, 1) as site,
    ):
        for point in KEPT_AT:
            server = site.serve(*FAILING, f"kill={point}", str(tmp_path / "reached"))
            killed = partial(ended_or_helped, site, server)
            site.until(killed, seconds=3 * SECONDS)
            written = kept(site.state, tmp_path / f"written-{site.kills}")
            disk.lose_power()
            assert kept(site.state, tmp_path / f"on-medium-{site.kills}") == written, point
            site.kills += 1
        site.serve()
        site.work_on(captured(site))
        site.run("apply", "--yes=1")
        assert broken_promises(site) == []


# --- others are in the way ------------------------------------------------------------

LOCKED = 20.0
"""Seconds for which another process holds the database: longer than an agent waits to ask again."""


@pytest.mark.needs_root
def test_a_full_disk_is_shown_by_status_and_nothing_begins_until_there_is_room(
    tmp_path, keep_consoles
):
    with (
        own_disk(tmp_path, tmp_path / "state") as disk,
        crash_site(tmp_path, keep_consoles, 1) as site,
    ):
        site.work_on(lambda: captured(site)() and inspected(site, 1))
        assert site.status()["faults"] == []
        disk.fill()
        assert "RW706: the state database" in site.run("apply", "--yes=1", expect=1)
        faults = {each["subject"]: each for each in site.status()["faults"]}
        fault = faults["disk/state"]
        assert fault["code"] == "RW706"
        assert fault["cause"].endswith(f"{site.state}: what happens cannot be recorded")
        assert site.restores("sim-0001") == ()
        disk.make_room()
        site.run("apply", "--yes=1")
        site.until(lambda: site.status()["faults"] == [])
        assert broken_promises(site) == []


def test_work_waits_while_another_process_holds_the_database_and_none_of_it_is_lost(
    tmp_path, keep_consoles
):
    with crash_site(tmp_path, keep_consoles, 2) as site:
        site.work_on(lambda: captured(site)() and inspected(site, 2))
        apply = site.start("apply", "--yes=2")
        site.until(lambda: "started" in site.states("restore").values())
        with closing(sqlite3.connect(site.state / "rackwright.db", timeout=SECONDS)) as base:
            base.execute("BEGIN IMMEDIATE")
            time.sleep(LOCKED)
            base.rollback()
        said, _ = apply.communicate(timeout=2 * SECONDS)
        assert apply.returncode == 0, said
        assert {each.attempt for each in site.operations("restore").values()} == {1}
        assert broken_promises(site) == []
