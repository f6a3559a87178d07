"""What becomes of a revision while the state cannot be written, as another process writes it."""

import asyncio
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from builders.world import NOW, a_fleet, a_machine
from structlog.testing import capture_logs

from reconciler.app.follow_git import GitFollower
from reconciler.errors import ReconcilerError, SourceError, StateError
from reconciler.git.commit_policy import Accept, Refuse
from reconciler.state.database import open_database
from reconciler.state.faults import Faults

FLEET = a_fleet(a_machine(1))
SOURCE = SimpleNamespace(revision="b", own_commit=None)
LOCKED = StateError("RW705", "another process holds the state database", "Wait")


class Project:
    """A source with one revision, and a state that does what the test says."""

    def __init__(self):
        self.decision = Accept("it continues the last accepted one")
        self.errors = []
        self.is_watched = True
        self.taken_in = []
        self.revision_policy = SimpleNamespace(last=SimpleNamespace(commit="a"))

    async def watch(self, stop):
        if self.is_watched:
            yield SOURCE
        await stop.wait()

    def judge(self, source):
        del source
        if self.errors and self.errors[0] == "judge":
            self.errors.pop(0)
            raise LOCKED
        return FLEET, self.decision

    def take_over(self, *_):
        if self.errors and self.errors[0] == "take_over":
            self.errors.pop(0)
            raise LOCKED
        self.taken_in.append(threading.current_thread())


class Server:
    def __init__(self):
        self.revision = "a"
        self.stop = asyncio.Event()

    async def use(self, fleet):
        self.revision = fleet.revision
        self.stop.set()


@pytest.mark.parametrize("where", ["judge", "take_over"])
async def test_a_revision_is_taken_once_the_state_can_be_used_again(where):
    project, server = Project(), Server()
    project.errors = [where]
    follower = GitFollower(project, server, lambda: NOW)
    with pytest.raises(StateError, match="RW705"):
        await asyncio.wait_for(follower.follow(server.stop), 10)
    await asyncio.wait_for(follower.follow(server.stop), 10)
    assert server.revision == FLEET.revision


async def test_what_a_person_accepts_is_not_lost_to_a_database_that_is_locked(monkeypatch):
    monkeypatch.setattr("reconciler.app.follow_git.LOOK", 0.01)
    project, server = Project(), Server()
    project.decision = Refuse(ReconcilerError("RW735", "history was rewritten", "Accept it"))
    follower = GitFollower(project, server, lambda: NOW)
    await follower.see(SOURCE)
    project.is_watched = False
    project.errors = ["take_over"]
    project.decision = Accept("it is the last accepted commit")
    project.revision_policy.last = SimpleNamespace(commit="b")
    with pytest.raises(StateError, match="RW705"):
        await asyncio.wait_for(follower.follow(server.stop), 10)
    project.is_watched = True
    await asyncio.wait_for(follower.follow(server.stop), 10)
    assert server.revision == FLEET.revision


async def test_the_event_loop_does_not_wait_for_the_state():
    project, server = Project(), Server()
    await asyncio.wait_for(GitFollower(project, server, lambda: NOW).follow(server.stop), 10)
    assert project.taken_in
    assert threading.main_thread() not in project.taken_in


async def test_a_source_that_cannot_be_read_is_logged_when_that_changes_and_once_an_hour(
    tmp_path,
):
    database = open_database(tmp_path / "rackwright.db")
    server, now = Server(), [NOW]
    server.reconciler = SimpleNamespace(faults=Faults(database))
    follower = GitFollower(Project(), server, lambda: now[0])
    down = SourceError("RW717", "https://git.example/fleet cannot be fetched: no route", "Look")
    with capture_logs() as logs:
        for _ in range(240):  # two hours of looks
            await follower.see(down)
            now[0] += timedelta(seconds=30)
        (fault,) = Faults(database).present()
        assert (fault.subject, fault.code, fault.since) == ("git", "RW717", NOW)
        await follower.see(SourceError("RW717", "the key is refused", "Look"))
        server.revision = SOURCE.revision
        await follower.see(SOURCE)
        await follower.see(SOURCE)
    assert Faults(database).present() == ()
    said = [(each["event"], each.get("cause")) for each in logs]
    assert said == [
        ("source cannot be read", down.cause),
        ("source cannot be read", down.cause),
        ("source cannot be read", "the key is refused"),
        ("source can be read again", None),
    ]
    database.close()
