"""What a newcomer does wrong at the command line is solved by the message alone.

Mistakes within documents are in ``tests/broken``; ``test_hints_apply`` follows their hints.
"""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.diff import diff
from reconciler.cli.plan import plan
from reconciler.cli.refusal import refusal
from reconciler.cli.status import status
from reconciler.cli.validate import validate
from reconciler.errors import ReconcilerError
from tests.broken.case import BASE
from tests.unit.git_repository import GitRepository

MACHINE = """\
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-02}
spec: {group: rack, hardware: {macs: ["52:54:00:77:00:02"]}}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    made = GitRepository(tmp_path / "fleet")
    made.commit("one", {**BASE, "row 2/m.yaml": MACHINE})
    monkeypatch.setenv("RACKWRIGHT_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path / "fleet")
    return made


def said(command: object, *arguments: str) -> str:
    """Return all that a command prints, its refusal included."""
    done: Result = CliRunner().invoke(command, arguments)  # type: ignore[arg-type]
    refused = done.exception
    ending = refusal(refused) if isinstance(refused, ReconcilerError) else ""
    return f"{done.output}{ending}"


@pytest.mark.usefixtures("repository")
def test_a_folder_given_to_validate() -> None:
    text = said(validate, "row 2")
    assert text == (
        "error RW912: row 2 is a folder\n  `rackwright validate --repo 'row 2'` checks all of it"
    )
    hint = shlex.split(text.partition("`")[2].partition("`")[0])
    assert "row 2/m.yaml" not in said(validate, *hint[2:])


def test_a_subfolder_of_the_repository(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("row 2")
    note = f"only the folder row 2 of the repository {repository.path} is read: "
    for command in (validate, plan):
        text = said(command)
        assert 'no Group is named "rack"' in text
        assert note in text
        option = shlex.split(text.partition(note)[2].partition(" reads all of it")[0])
        assert "no Group is named" not in said(command, *option)


def test_an_uncommitted_edit(repository: GitRepository) -> None:
    (repository.path / "row 2/m.yaml").write_text(MACHINE.replace("node-02", "node-03"))
    assert "1 uncommitted file is not looked at: row 2/m.yaml" in said(plan)


def test_nothing_is_said_of_a_folder_where_all_is_read(repository: GitRepository) -> None:
    (repository.path / "row 2/m.yaml").write_text(MACHINE.replace("rack", "rock"))
    assert "only the folder" not in said(validate)


IMAGE = "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: other}\n"


@pytest.mark.parametrize("command", [plan, status, validate], ids=["plan", "status", "validate"])
def test_a_folder_without_machines_is_said_to_be_only_that_folder(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch, command: object
) -> None:
    repository.commit("an image", {"images/i.yaml": IMAGE})
    monkeypatch.chdir(repository.path / "images")
    text = said(command)
    assert "note: no machine is in it: only the folder images of the repository" in text


def test_a_branch_that_is_behind_its_base_says_so(repository: GitRepository) -> None:
    repository.git("branch", "old")
    repository.commit("more", {"images/i.yaml": IMAGE})
    assert "the base has 1 commit that is not in what is reviewed" in said(diff, "main", "old")
    assert "the base has" not in said(diff, "old", "main")
