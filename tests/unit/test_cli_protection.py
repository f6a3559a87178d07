"""Somebody deletes `protect: true` in Git, and a wipe is assigned in the same commit."""

from datetime import UTC, datetime

import pytest

from reconciler.app.follow_git import GitFollower
from reconciler.app.project import Project
from reconciler.errors import StateError
from reconciler.git.location import open_source
from tests.unit.git_repository import GitRepository

pytestmark = pytest.mark.timeout(60)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: lab}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/16}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: golden}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone}
spec: {steps: [{restore: {image: golden}}]}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: lab}
"""
MACHINE = """\
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {name}}}
spec:
  group: lab
  hardware: {{macs: ["52:54:00:00:00:01"], uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32}}
{more}"""
PROTECTED = "  protect: true\n"
ASSIGNED = "  assign: [{scenario: clone, run: 1}]\n"


@pytest.fixture
def fleet(git_repository: GitRepository):
    def commit(more: str, name: str = "db") -> str:
        text = FLEET + (MACHINE.format(name=name, more=more) if name else "")
        git_repository.commit("Change", {"fleet.yaml": text.encode()})
        return str(git_repository.path)

    return commit


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def reasons(repo, state):
    return [
        (str(item.risk), item.reason.split(",")[0], item.unblock)
        for item in Project(repo, None, state).plan(NOW).items
    ]


def act_on(repo, state):
    Project(repo, None, state).accept("test", NOW)


def test_the_machine_stays_protected_until_that_is_taken_back(fleet, state) -> None:
    repo = fleet(PROTECTED)
    act_on(repo, state)
    commit = Project(repo, None, state).revision.commit.id[:12]
    fleet(ASSIGNED)
    kept = (
        "BLOCKED",
        f"the machine was protected at fleet.yaml:30:12 of commit {commit}",
        "Write `protect: false` for the machine, if it may be overwritten",
    )
    assert reasons(repo, state) == [kept]
    act_on(repo, state)
    assert reasons(repo, state) == [kept]
    fleet("  protect: false\n" + ASSIGNED)
    assert reasons(repo, state) == [
        ("UNKNOWN", "its disks were never seen; the machine may be in use", "")
    ]


def test_a_document_that_comes_back_under_another_name_is_the_same_hardware(fleet, state) -> None:
    repo = fleet(PROTECTED)
    act_on(repo, state)
    fleet("", name="")
    act_on(repo, state)
    fleet(ASSIGNED, name="web")
    assert [risk for risk, _, _ in reasons(repo, state)] == ["BLOCKED"]


def test_what_nobody_acted_on_protects_nothing(fleet, state) -> None:
    repo = fleet(PROTECTED)
    fleet(ASSIGNED)
    assert [risk for risk, _, _ in reasons(repo, state)] == ["UNKNOWN"]


async def test_a_server_that_takes_a_revision_remembers_what_it_protects(fleet, state) -> None:
    repo = fleet("")
    act_on(repo, state)
    project = Project(repo, None, state)

    class Server:
        revision = project.fleet.revision

        async def use(self, fleet):
            self.revision = fleet.revision

    source = GitFollower(project, Server(), lambda: NOW)
    fleet(PROTECTED)
    await source.see(open_source(repo, "HEAD", cache=state / "sources"))
    fleet(ASSIGNED)
    assert [risk for risk, _, _ in reasons(repo, state)] == ["BLOCKED"]


def test_a_state_that_cannot_be_read_is_no_fault_of_the_commit(fleet, state, monkeypatch) -> None:
    repo = fleet("")
    act_on(repo, state)
    project = Project(repo, None, state)

    def locked(*_):
        raise StateError("RW705", "another process holds the state database", "Wait")

    monkeypatch.setattr(project.revision_policy, "judge", locked)
    with pytest.raises(StateError, match="RW705"):
        project.hold()
