"""What serve, status, plan and apply do with a commit that may not be acted on."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconciler.app import follow_git
from reconciler.app.follow_git import GitFollower
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from tests.builders.signed_commits import SignedRepository, SshKey

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("git_environment")]

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EXAMPLE = Path("examples/lab/fleet").absolute()
INVALID = "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: golden\n"


@pytest.fixture
def jane(tmp_path):
    return SshKey(tmp_path, "jane")


@pytest.fixture
def repository(tmp_path):
    made = SignedRepository(tmp_path / "fleet")
    shutil.copytree(EXAMPLE, made.path, dirs_exist_ok=True)
    return made


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


class Recorder:
    """Acts on whatever it is given."""

    def __init__(self, fleet):
        self.revision = fleet.revision
        self.taken = asyncio.Queue()

    async def use(self, fleet):
        self.revision = fleet.revision
        self.taken.put_nowait(fleet.revision)


class Following:
    """The loop of ``serve`` between a real repository and a recorder."""

    def __init__(self, repository, state):
        self.project = Project(str(repository.path), None, state)
        self.held = self.project.hold()
        self.server = Recorder(self.project.fleet)
        self._stop = asyncio.Event()

    async def __aenter__(self):
        self.project.accept("test", NOW)
        source = GitFollower(self.project, self.server, lambda: NOW)
        self._task = asyncio.create_task(source.follow(self._stop))
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await self._task

    async def next_taken(self):
        return await self.server.taken.get()


async def until_held(logs, commit):
    """Wait for the word that a commit is held back; return it."""
    while True:
        for entry in logs:
            if entry["event"] == "revision not taken" and entry["revision"] == commit:
                return entry
        await asyncio.sleep(0.02)


def refuse_broken(repository, jane):
    return repository.signed("Invalid", jane, image=INVALID), "RW901"


def refuse_unsigned(repository, jane):
    del jane
    return repository.signed("Unsigned", None), "RW730"


def refuse_rewritten(repository, jane):
    return repository.commit_as(jane, "--amend", "--allow-empty", "--message=Other"), "RW735"


EACH_KIND = pytest.mark.parametrize(
    "refuse",
    [refuse_broken, refuse_unsigned, refuse_rewritten],
    ids=["broken", "unsigned", "rewritten"],
)


class TestServe:
    @EACH_KIND
    async def test_it_stays_with_the_last_good_commit_until_the_next_good_one(
        self, repository, state, jane, refuse
    ):
        good = repository.signed("First", jane, signers=[jane])
        with capture_logs() as logs:
            async with Following(repository, state) as following:
                bad, code = refuse(repository, jane)
                word = await until_held(logs, bad)
                assert (word["code"], word["held_at"]) == (code, good)
                assert following.server.revision == good
                # Back, and on from the good one.
                repository.git("reset", "--quiet", "--hard", good)
                better = repository.signed("Better", jane)
                assert await following.next_taken() == better

    async def test_a_commit_at_which_something_unforeseen_happens_is_not_taken(
        self, repository, state, jane, monkeypatch
    ):
        good = repository.signed("First", jane, signers=[jane])
        judge = Project.judge

        def failing(project, tree):
            if tree.own_commit.subject == "Strange":
                raise RuntimeError("nobody thought of it")
            return judge(project, tree)

        with capture_logs() as logs:
            async with Following(repository, state) as following:
                monkeypatch.setattr(Project, "judge", failing)
                strange = repository.signed("Strange", jane)
                word = await until_held(logs, strange)
                assert (word["code"], word["held_at"]) == ("RW792", good)
                assert word["cause"] == (
                    "the commit could not be judged: RuntimeError: nobody thought of it"
                )
                better = repository.signed("Better", jane)
                assert await following.next_taken() == better

    @EACH_KIND
    async def test_after_a_restart_it_is_still_there(self, repository, state, jane, refuse):
        good = repository.signed("First", jane, signers=[jane])
        async with Following(repository, state):
            pass
        bad, code = refuse(repository, jane)
        with capture_logs() as logs:
            following = Following(repository, state)
            assert following.held.code == code
            async with following:
                await until_held(logs, bad)
                assert following.server.revision == good

    @pytest.mark.parametrize(
        ("refuse", "code"), [(refuse_broken, "RW901"), (refuse_unsigned, "RW730")]
    )
    def test_without_a_good_commit_there_is_nothing_to_hold_at(
        self, repository, state, jane, refuse, code
    ):
        repository.signed("First", None, signers=[jane])
        refuse(repository, jane)
        with pytest.raises(ReconcilerError) as caught:
            Project(str(repository.path), None, state).hold()
        assert caught.value.code == code

    async def test_what_a_person_accepts_is_taken_at_once(
        self, repository, state, jane, monkeypatch
    ):
        monkeypatch.setattr(follow_git, "LOOK", 0.05)
        repository.signed("First", jane, signers=[jane])
        with capture_logs() as logs:
            async with Following(repository, state) as following:
                bad, _ = refuse_rewritten(repository, jane)
                await until_held(logs, bad)
                done = await asyncio.to_thread(rackwright, "accept", bad, repository, state)
                assert done.returncode == 0, done.stderr
                assert await following.next_taken() == bad

    async def test_a_source_that_cannot_be_reached_holds_at_the_last_accepted_commit(
        self, repository, state, jane, tmp_path
    ):
        good = repository.signed("First", jane, signers=[jane])
        url = f"file://{repository.path}"
        project = Project(url, None, state)
        assert project.hold() is None
        project.accept("test", NOW)
        repository.path.rename(tmp_path / "gone")
        again = Project(url, None, state)
        assert again.hold().code == "RW717"
        assert again.fleet.revision == good


def rackwright(*arguments):
    """Run a command; the last two arguments are the repository and the state directory."""
    *arguments, repository, state = arguments
    return subprocess.run(
        [sys.executable, "-m", "reconciler.cli", *arguments],
        env={
            **os.environ,
            "RACKWRIGHT_STATE": str(state),
            "RACKWRIGHT_REPO": str(repository.path),
            "RACKWRIGHT_BOOT_FILES": "/nowhere",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def accept_present(repository, state):
    project = Project(str(repository.path), None, state)
    project.accept("test", NOW)
    project.database.close()


class TestCommands:
    def test_a_plan_for_review_says_that_the_commit_is_not_acceptable(
        self, repository, state, jane
    ):
        repository.signed("First", jane, signers=[jane])
        accept_present(repository, state)
        assert "accept" not in rackwright("plan", repository, state).stdout
        repository.git("checkout", "--quiet", "-b", "pull-request")
        repository.signed("Not yet signed", None)
        done = rackwright("plan", repository, state)
        assert done.returncode == 3
        text = " ".join(done.stdout.split())
        assert "for review only, this commit is not acceptable: RW730: the commit" in text
        done = rackwright("plan", "--format", "json", repository, state)
        notice = json.loads(done.stdout)["notice"]
        assert notice.startswith(
            "for review only, this commit is not acceptable: RW730: the commit"
        )
        assert done.stderr == f"{notice}\n"

    def test_a_plan_of_a_commit_that_would_be_accepted_says_by_whom_it_is_signed(
        self, repository, state, jane
    ):
        repository.signed("First", jane, signers=[jane])
        text = " ".join(rackwright("plan", repository, state).stdout.split())
        assert "not accepted yet: the first commit here, signed by jane, a signer that it" in text
        accept_present(repository, state)
        repository.signed("Second", jane)
        assert "not accepted yet: signed by jane" in rackwright("plan", repository, state).stdout

    def test_without_signers_a_plan_has_no_word_of_acceptance(self, repository, state):
        repository.signed("First", None)
        assert "accepted" not in rackwright("plan", repository, state).stdout

    @EACH_KIND
    def test_apply_refuses_the_commit(self, repository, state, jane, refuse):
        repository.signed("First", jane, signers=[jane])
        accept_present(repository, state)
        _, code = refuse(repository, jane)
        done = rackwright("apply", "--yes", repository, state)
        assert done.returncode == 1
        assert f"error {code}: " in done.stderr
        assert "Traceback" not in done.stderr

    @EACH_KIND
    def test_status_shows_the_held_revision_and_why(self, repository, state, jane, refuse):
        good = repository.signed("First", jane, signers=[jane])
        accept_present(repository, state)
        _, code = refuse(repository, jane)
        done = rackwright("status", repository, state)
        assert done.stdout.startswith(f"held at {good[:12]} (Jane Doe")
        assert f"because {code}: " in done.stdout
        assert "golden" in done.stdout
        document = json.loads(rackwright("status", "--format", "json", repository, state).stdout)
        assert document["revision"] == good
        assert document["held"].startswith(code)

    def test_a_plan_that_was_read_while_another_commit_was_accepted_is_not_acted_on(
        self, repository, state, jane
    ):
        repository.signed("First", jane, signers=[jane])
        slow = Project(str(repository.path), None, state)
        slow.require_acceptable()
        second = repository.signed("Second", jane, signers=[jane])
        accept_present(repository, state)
        with pytest.raises(ReconcilerError, match=r"^RW73\d: "):
            slow.accept("ada", NOW)
        assert slow.revision_policy.last.commit == second
        slow.database.close()

    def test_a_person_can_accept_a_rewritten_history(self, repository, state, jane):
        old = repository.signed("First", jane, signers=[jane])
        accept_present(repository, state)
        bad, _ = refuse_rewritten(repository, jane)
        done = rackwright("accept", bad[:10], repository, state)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith(f"accepted {bad[:12]} (Jane Doe")
        assert lines[1].startswith("although RW735: the history was rewritten")
        assert lines[2] == f"in place of {old[:12]}, accepted by test at {NOW}"
        assert lines[3] == "the commits after it must be signed (ssh) by one of: jane"
        assert "held" not in rackwright("status", repository, state).stdout
        done = rackwright("accept", bad, repository, state)
        assert "is the last accepted commit already" in done.stdout

    def test_a_person_cannot_accept_a_broken_commit(self, repository, state, jane):
        repository.signed("First", jane, signers=[jane])
        accept_present(repository, state)
        bad, _ = refuse_broken(repository, jane)
        done = rackwright("accept", bad, repository, state)
        assert done.returncode == 1
        assert "error RW901: the repository has 1 error(s)" in done.stderr

    def test_looking_accepts_nothing(self, repository, state, jane):
        repository.signed("First", jane, signers=[jane])
        for command in ("plan", "status"):
            rackwright(command, repository, state)
        project = Project(str(repository.path), None, state)
        assert project.revision_policy.last is None


@pytest.mark.needs_root
def test_a_running_serve_holds_through_all_of_it(repository, state, jane, boot_files, namespace):
    good = repository.signed("First", jane, signers=[jane])
    serve = subprocess.Popen(
        [*namespace, sys.executable, "-m", "reconciler.cli", "serve", "--log-json"],
        env={
            **os.environ,
            "RACKWRIGHT_STATE": str(state),
            "RACKWRIGHT_REPO": str(repository.path),
            "RACKWRIGHT_BOOT_FILES": str(boot_files),
        },
        stderr=subprocess.PIPE,
        text=True,
    )

    def word(event, commit):
        for line in serve.stderr:
            entry = json.loads(line)
            if entry["event"] == event and entry.get("revision") == commit:
                return entry
        raise AssertionError(f"serve ended with {serve.wait()}")

    try:
        for line in serve.stderr:
            if "network boot serves" in line:
                break
        for refuse in (refuse_broken, refuse_unsigned, refuse_rewritten):
            bad, code = refuse(repository, jane)
            entry = word("revision not taken", bad)
            assert (entry["code"], entry["held_at"]) == (code, good)
            repository.git("reset", "--quiet", "--hard", good)
        better = repository.signed("Better", jane)
        assert word("revision taken", better)["reason"] == "signed by jane"
    finally:
        serve.terminate()
        serve.communicate(timeout=30)
    assert serve.returncode == 0
