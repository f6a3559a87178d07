"""``rackwright ledger``, and what other commands say while the fleet is observe-only."""

import json
import sqlite3
from contextlib import closing

import pytest
from builders.world import NOW
from click.testing import CliRunner

from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError, StateError
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.ledger_guard import LedgerGuard
from reconciler.state.witness import Witnesses
from tests.unit.git_repository import GitRepository
from tests.unit.test_ledger_chain import an_operation

FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: small}
spec: {}
"""


@pytest.fixture
def state(tmp_path):
    """Return a state directory with a ledger of four lines that is witnessed."""
    state = tmp_path / "state"
    for place in ("trust", "store"):
        (state / place).mkdir(parents=True)
    open_at(state, 4)
    return state


def open_at(state, lines):
    """Write lines as a server's ledger has them, and let them be witnessed."""
    database = open_database(state / "rackwright.db", new_ledger_id=lambda: "c0ffee" * 5)
    for number in range(1, lines + 1):
        Ledger(database).plan(an_operation(number), NOW, "ada")
    LedgerGuard(database, Witnesses(state), lambda: NOW).start()
    database.close()


def run(state, *arguments, repo=None):
    options = ["--state", str(state), *(["--repo", str(repo)] if repo else [])]
    return CliRunner().invoke(cli, [*arguments, *options], standalone_mode=False)


def change(state, statement):
    with closing(sqlite3.connect(state / "rackwright.db")) as connection:
        for verb in ("UPDATE", "DELETE"):
            connection.execute(f"DROP TRIGGER IF EXISTS ledger_refuses_{verb}")
        connection.execute(statement)
        connection.commit()


def lose(state):
    for path in state.glob("rackwright.db*"):
        path.unlink()


def test_a_whole_ledger_agrees_with_its_witnesses(state):
    done = run(state, "ledger", "verify")
    assert done.return_value == 0
    head, chain, trust, store = done.output.splitlines()
    assert head.startswith("ledger c0ffeec0ffee: 4 lines, head ")
    assert chain == "chain: every line follows from the line before it"
    assert trust == f"witness {state}/trust/ledger.json: agrees up to line 4"
    assert store == f"witness {state}/store/ledger.json: agrees up to line 4"


def test_the_first_line_that_does_not_fit_is_named_with_time_and_operation(state):
    change(state, "UPDATE ledger SET reason = 'because' WHERE sequence = 2")
    done = run(state, "ledger", "verify")
    assert done.return_value == 1
    operation = an_operation(2).op_id
    assert (
        f"chain: BROKEN at line 2 (2026-11-21 12:00:00 UTC, operation {operation[:12]}, planned): "
        "it or a line before it was changed\n"
    ) in done.output
    document = json.loads(run(state, "ledger", "verify", "--format", "json").output)
    assert document["whole"] is False
    assert document["firstBroken"] == {
        "line": 2,
        "at": "2026-11-21T12:00:00.000000+00:00",
        "operation": operation,
        "state": "planned",
    }
    assert [each["problem"] for each in document["witnesses"]] == [None, None]


def test_a_ledger_that_was_cut_off_contradicts_its_witnesses(state):
    change(state, "DELETE FROM ledger WHERE sequence > 2")
    done = run(state, "ledger", "verify")
    assert done.return_value == 1
    assert "chain: every line follows from the line before it" in done.output
    assert (
        f"witness {state}/trust/ledger.json: the ledger ends at line 2, but line 4 was written"
        in done.output
    )
    assert "the fleet is observe-only: RW742 the ledger ends at line 2" in done.output
    document = json.loads(run(state, "ledger", "verify", "--format", "json").output)
    assert document["observeOnly"]["code"] == "RW742"


def test_there_is_nothing_to_verify_without_a_database(tmp_path):
    done = run(tmp_path, "ledger", "verify")
    assert isinstance(done.exception, StateError)
    assert str(done.exception).startswith(f"RW749: there is no database {tmp_path}/rackwright.db. ")
    assert list(tmp_path.iterdir()) == []


def test_everybody_says_that_the_fleet_is_observe_only(state, git_repository: GitRepository):
    git_repository.commit("A fleet", {"fleet.yaml": FLEET})
    repo = git_repository.path
    said = run(state, "status", repo=repo)
    assert "observe-only" not in said.output
    assert (
        json.loads(run(state, "status", "--format", "json", repo=repo).output)["observeOnly"]
        is None
    )

    lose(state)
    words = "the fleet is observe-only: RW742 there is no database, but there was one with 4"
    said = run(state, "status", repo=repo)
    assert said.return_value == 1
    assert " ".join(said.output.split()).startswith(words)
    assert "rackwright ledger accept --reason TEXT" in " ".join(said.output.split())
    found = json.loads(run(state, "status", "--format", "json", repo=repo).output)["observeOnly"]
    assert found["code"] == "RW742"
    assert found["action"].startswith("Run `rackwright ledger verify`")
    assert not (state / "rackwright.db").exists()

    assert words in " ".join(run(state, "plan", repo=repo).output.split())
    output = run(state, "plan", "--format", "json", repo=repo).output
    assert words in json.loads(output[output.index("{") :])["notice"]
    for command in (["apply"], ["run", "inspect", "--on", "x", "--reason", "y"]):
        refused = run(state, *command, repo=repo)
        assert isinstance(refused.exception, StateError)
        assert refused.exception.code == "RW741"
        assert words in refused.exception.cause


def test_a_person_accepts_the_ledger_with_a_reason(state):
    assert (
        "there was nothing to accept"
        in run(state, "ledger", "accept", "--reason", "to be sure").output
    )
    change(state, "DELETE FROM ledger WHERE sequence > 2")
    refused = run(state, "ledger", "accept")
    assert isinstance(refused.exception, ReconcilerError)
    assert refused.exception.code == "RW941"
    done = run(state, "ledger", "accept", "--reason", "restored")
    assert done.output.startswith(
        "accepted the ledger up to line 3, although the ledger ends at line 2, but line 4 was"
    )
    done = run(state, "ledger", "verify")
    assert done.return_value == 0
    assert "agrees up to line 3" in done.output
