"""Agents exchange themselves for another release: the real launcher, real agents, real TLS."""

import hashlib
import os
import re
from contextlib import contextmanager

import pytest
from builders.agent_release import (
    CRASHES,
    DEAF,
    GOOD,
    HANGS,
    KILLED,
    FakeServiceManager,
    make_archive,
    make_bundle,
    make_release,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agent.config import AgentConfig, save_config
from agent.upgrade.launch_state import LaunchState
from agent.upgrade.state_file import read_state
from agent.wire.agent_release import SIGNED_PREFIX, AgentRelease, ReleaseFile, ReleaseManifest
from agent.wire.codec import encode
from agent.wire.step import Run, UpgradeAgent
from agent.wire.work import Work
from tests.protocol.agent_control_plane import Authority, FakeControlPlane

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(240)]

OLD, NEW = "0.3.0-1", "0.4.0-1"


class Machine:
    """One machine with an agent that a package installed, and a server."""

    def __init__(self, folder, before=GOOD, *, watch=False, restored=False):
        self.folder = folder
        self.log = folder / "failpoints"
        self.kill_at = folder / "kill-at"
        self.plane = FakeControlPlane(folder)
        self.plane.up()
        self.plane.add_token("t-1", "node-1")
        self.home = folder / "root/opt/rackwright-agent"
        self.state = folder / "state"
        self.state.mkdir()
        self.watch = watch
        self.bundle = folder / "bundle" if restored else None
        if restored:
            make_bundle(self.bundle, "0.3.0")
            self.home.mkdir(parents=True)
        else:
            base = make_release(folder / "root", OLD, self.hook(OLD))
            (self.home / "current").symlink_to(base)
        release = make_release(folder / "release", NEW, self.hook(NEW, folder / "root") + before)
        archive = make_archive(folder / "release", folder / "release.tar.gz")
        assert release.is_dir()
        self.archive = archive.read_bytes()
        self.config = folder / "agent.json"
        save_config(self.config, AgentConfig(self.plane.url, self.plane.pin, "t-1", "", ""))

    def hook(self, version, root=None):
        if not self.watch:
            return ""
        library = (root or self.folder / "root") / "opt/rackwright-agent/versions" / version
        return KILLED.format(
            library=str(library / "usr/lib/rackwright"), log=str(self.log), at=str(self.kill_at)
        )

    @contextmanager
    def running(self):
        arguments = ["service", "--config", str(self.config), "--state", str(self.state)]
        log = self.folder / "agent.log"
        watch = self.hook(OLD) if self.watch else ""
        with FakeServiceManager(
            self.folder, self.home, arguments, log, watch, self.bundle
        ) as manager:
            try:
                yield manager
            except AssertionError as error:
                raise AssertionError(f"{error}\n{log.read_text()[-6000:]}") from error
            finally:
                self.plane.down()

    def release(self, authority=None, **changes):
        """Return the release as the server hands it out."""
        sha256 = hashlib.sha256(self.archive).hexdigest()
        self.plane.content.setdefault(sha256, self.archive)
        fields = {
            "version": NEW,
            "architecture": os.uname().machine,
            "files": (ReleaseFile("agent.tar.gz", sha256, len(self.archive)),),
        }
        manifest = encode(ReleaseManifest(**{**fields, **changes}))
        key = (authority or self.plane.authority).key
        signature = key.sign(SIGNED_PREFIX + manifest, ec.ECDSA(hashes.SHA256()))
        return AgentRelease(manifest.decode(), signature.hex())

    def arm(self, release, *, name="op-1", within=60, version="0.4.0"):
        work = Work(name, 1, (UpgradeAgent(version, within, release),))
        return self.plane.arm("node-1", work)

    def until(self, condition, seconds=90):
        self.plane.wait_for(condition, seconds)

    def launch_state(self) -> LaunchState:
        return read_state(self.state / "launch.json")

    def versions(self):
        return sorted(path.name for path in (self.home / "versions").iterdir())

    def ends(self, operation):
        self.until(lambda: operation.state in {"done", "failed"})
        return operation.events[-1]

    def reports_again(self):
        """Return the version of the next report."""
        count = len(self.plane.reports)
        self.until(lambda: len(self.plane.reports) > count)
        return self.plane.reports[-1].agent_version

    def does_work(self):
        """Have the agent that runs do something, and return its version."""
        operation = self.plane.arm("node-1", Work("op-after", 1, (Run(("true",), (0,), 60, 60),)))
        assert self.ends(operation).kind == "done"
        return self.plane.reports[-1].agent_version


def test_an_agent_is_upgraded_reports_and_goes_on_with_the_next_work(tmp_path):
    machine = Machine(tmp_path)
    with machine.running() as manager:
        operation = machine.arm(machine.release())
        assert machine.ends(operation).kind == "done"
        result = next(each.result for each in operation.events if each.kind == "step-done")
        assert result == {"agent": NEW, "before": OLD}
        assert machine.does_work() == "0.4.0"
        assert machine.launch_state().version == NEW
        assert machine.versions() == [OLD, NEW]  # what the package manager has stays
        assert not (machine.state / "fetched").exists()

        # Once more there is nothing to do, and nothing is fetched for it.
        fetched = machine.plane.count("GET /v1/content")
        again = machine.arm(machine.release(), name="op-2", version="0.3.5")
        assert machine.ends(again).kind == "done"
        result = next(each.result for each in again.events if each.kind == "step-done")
        assert result == {"agent": NEW, "before": NEW}
        assert machine.plane.count("GET /v1/content") == fetched

        # The package manager brings something newer: that is used from the next start on.
        newer = make_release(tmp_path / "root", "0.5.0-1")
        (machine.home / "current").unlink()
        (machine.home / "current").symlink_to(newer)
        manager.cut_power()
        assert machine.reports_again() == "0.5.0"


def test_the_agent_of_a_restored_system_is_upgraded_to_a_release_with_its_own_python(tmp_path):
    machine = Machine(tmp_path, restored=True)
    with machine.running():
        operation = machine.arm(machine.release())
        assert machine.ends(operation).kind == "done"
        result = next(each.result for each in operation.events if each.kind == "step-done")
        assert result == {"agent": NEW, "before": "0.3.0"}
        assert machine.does_work() == "0.4.0"
        assert machine.versions() == [NEW]


@pytest.mark.parametrize(
    ("before", "within", "cause"),
    [
        (CRASHES, 60, "it ended with status 1 before it had reported to the server"),
        (HANGS, 2, "it did not report to the server within 2 s"),
        pytest.param(
            DEAF, 4, "it did not report to the server within 4 s", marks=pytest.mark.nightly
        ),
    ],
    ids=["crashes at its start", "hangs", "reaches no server"],
)
def test_a_release_that_does_not_work_is_rolled_back_and_the_old_agent_says_why(
    tmp_path, before, within, cause
):
    machine = Machine(tmp_path, before)
    with machine.running():
        operation = machine.arm(machine.release(), within=within)
        event = machine.ends(operation)
        assert (event.kind, event.code) == ("failed", "RW608")
        assert event.message == f"the agent {NEW} was tried and is not used: {cause}; {OLD} runs"
        assert machine.does_work() == "0.3.0"
        assert machine.launch_state().version == ""


def test_a_release_that_is_not_to_be_trusted_is_refused_and_nothing_is_touched(tmp_path):
    machine = Machine(tmp_path)
    sha256 = hashlib.sha256(machine.archive).hexdigest()
    signed = machine.release()
    refused = {
        "another authority": (machine.release(Authority()), "RW605"),
        "changed": (AgentRelease(signed.manifest + " ", signed.signature), "RW605"),
        "no signature": (AgentRelease(signed.manifest, "00"), "RW605"),
        "architecture": (machine.release(architecture="riscv64"), "RW606"),
        "older": (machine.release(version="0.2.9-1"), "RW606"),
        "not what it says": (machine.release(version="0.4.1-1"), "RW607"),
        "none": (None, "RW606"),
    }
    with machine.running():
        for number, (name, (release, code)) in enumerate(refused.items()):
            operation = machine.arm(release, name=f"op-{number}")
            event = machine.ends(operation)
            assert (name, event.code) == (name, code), event.message
            assert machine.launch_state() == LaunchState()
            assert machine.versions() == [OLD]
        machine.plane.content[sha256] = machine.archive[:-1] + b"x"
        operation = machine.arm(signed, name="op-digest")
        assert machine.ends(operation).code == "RW458"
        assert machine.launch_state() == LaunchState()
        assert machine.does_work() == "0.3.0"


def durable_steps(folder):
    """Return the failpoints that a good upgrade passes, in their order."""
    machine = Machine(folder, watch=True)
    with machine.running():
        operation = machine.arm(machine.release())
        assert machine.ends(operation).kind == "done"
    return machine.log.read_text().splitlines()


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    return durable_steps(tmp_path_factory.mktemp("good"))


def killed(folder, number, kind):
    """Upgrade with a kill at a failpoint; exactly one agent works then, and says how it ended."""
    folder.mkdir()
    machine = Machine(folder, watch=True)
    machine.kill_at.write_text(f"{number} {kind}")
    with machine.running():
        operation = machine.arm(machine.release())
        event = machine.ends(operation)
        machine.kill_at.unlink()
        running = machine.does_work()
    if event.kind == "done":
        assert running == "0.4.0"
    else:
        # Killed alone, before it had reported, the new agent has not shown that it works.
        assert (kind, event.code, running) == ("process", "RW608", "0.3.0")
        assert re.search("ended with signal 9 before it had reported", event.message)
    assert machine.launch_state().trial is None
    return event.kind


def indexes(passed):
    """Return where a kill is of interest: from the first step of the work on."""
    first = next(i for i, line in enumerate(passed) if line.startswith("content.before"))
    return range(first + 1, len(passed) + 1)


def test_after_a_loss_of_power_at_a_step_the_upgrade_goes_on(tmp_path, passed):
    points = indexes(passed)
    named = [n for n in points if passed[n - 1].startswith(("release.before", "launch.trial"))]
    assert len(named) == 2, passed
    for number in named:
        assert killed(tmp_path / f"at-{number}", number, "power") == "done"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["power", "process"])
def test_after_a_kill_at_any_step_one_agent_works_and_the_end_is_true(tmp_path, passed, kind):
    ended = {killed(tmp_path / f"at-{n}", n, kind) for n in indexes(passed)}
    assert ended == ({"done"} if kind == "power" else {"done", "failed"})
