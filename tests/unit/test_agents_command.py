"""What `rackwright agent` says and does, on a state directory as a server leaves it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from reconciler.cli.agent import agent
from reconciler.errors import ReconcilerError
from reconciler.state.certificates import AgentCertificates, IssuedCertificate
from reconciler.state.database import open_database
from reconciler.trust.authority import Authority

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
WHY = "the fleet has no rule for agents that were away (spec.agents.returnWithin)"


class Desk:
    """A shell on the server's computer."""

    def __init__(self, folder):
        self.state = folder / "state"
        self.database = open_database(self.state / "rackwright.db")
        self.store = AgentCertificates(self.database)
        self.authority = Authority.load_or_create(self.state / "trust", NOW - 40 * DAY)

    def __call__(self, *arguments):
        options = ["--repo", str(self.state), "--state", str(self.state)]
        result = CliRunner().invoke(agent, [*arguments, *options])
        if result.exception:
            raise result.exception
        return result.output

    def certificate(self, machine, issued, serial):
        record = IssuedCertificate(
            serial,
            machine,
            "installed",
            "k" * 64,
            self.authority.key_id,
            "enrollment",
            issued,
            issued + 30 * DAY,
        )
        return self.store.record(record)

    def asks(self, record):
        self.store.ask_to_return(record, NOW, "192.0.2.7", WHY)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def test_agents_are_listed_with_certificate_contact_and_state(desk):
    desk.certificate("node-01", NOW, "aa01")
    desk.certificate("node-02", NOW - 35 * DAY, "aa02")
    desk.asks(desk.certificate("node-03", NOW - 35 * DAY, "aa03"))
    desk.certificate("node-04", NOW, "aa04")
    desk("revoke", "node-04", "--reason", "stolen")
    lines = [" ".join(line.split()) for line in desk("ls").splitlines()]
    assert lines[0] == "NAME STATE CERTIFICATE UNTIL LAST CONTACT"
    assert lines[1] == f"node-01 valid {NOW + 30 * DAY:%Y-%m-%d} never"
    assert lines[2] == f"node-02 expired {NOW - 5 * DAY:%Y-%m-%d} never"
    assert lines[3].startswith(f"node-03 waits to come back {NOW - 5 * DAY:%Y-%m-%d} never")
    found = {each["name"]: each for each in json.loads(desk("ls", "--format", "json"))["agents"]}
    assert found["node-03"]["detail"] == f"aa03 from 192.0.2.7: {WHY}"
    assert found["node-04"]["state"] == "revoked"
    assert found["node-04"]["detail"].endswith(": stolen")
    assert found["node-01"]["contact"] is None


def test_without_agents_it_says_so(desk):
    assert desk("ls") == "no installed system has an agent yet\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("accept", "node-03"),
        ("revoke", "node-03"),
        ("authority", "roll"),
        ("authority", "retire"),
    ],
)
def test_nothing_is_done_without_a_reason(desk, arguments):
    desk.asks(desk.certificate("node-03", NOW - 35 * DAY, "aa03"))
    key = desk.authority.key_id
    with pytest.raises(ReconcilerError, match="RW941"):
        desk(*arguments)
    assert len(desk.store.returns()) == 1
    assert desk.store.find("aa03").revoked_at is None
    desk.authority.reload(NOW)
    assert desk.authority.key_id == key


def test_an_agent_is_accepted_once_with_who_and_why(desk):
    record = desk.certificate("node-03", NOW - 35 * DAY, "aa03")
    desk.asks(record)
    said = desk("accept", "node-03", "--reason", "was in store")
    assert said.startswith("node-03 may come back: it asked last from 192.0.2.7\n")
    kept = desk.store.ask_to_return(record, NOW, "192.0.2.7", WHY)
    assert kept.accepted_at is not None
    assert kept.reason == "was in store"
    with pytest.raises(ReconcilerError, match="RW984: no agent of node-03 asks to come back"):
        desk("accept", "node-03", "--reason", "again")


def test_a_revoked_agent_asks_no_more(desk):
    desk.asks(desk.certificate("node-03", NOW - 35 * DAY, "aa03"))
    said = desk("revoke", "node-03", "--reason", "sold")
    assert said == "node-03 is refused from now on; certificates revoked: 1\n"
    assert desk.store.returns() == ()
    with pytest.raises(ReconcilerError, match="RW984: no agent of node-99 ever had a certificate"):
        desk("revoke", "node-99", "--reason", "sold")


def test_a_key_is_rolled_over_followed_and_retired(desk):
    desk.certificate("node-01", NOW, "aa01")
    first = desk.authority.key_id
    assert desk("authority") == f"{first[:12]} signs; agents: 1\n"
    desk("authority", "roll", "--reason", "nine years old")
    desk.authority.reload(NOW)
    assert desk("authority") == (
        f"{desk.authority.key_id[:12]} signs; agents: 0\n"
        f"{first[:12]} is accepted until it is retired; agents: 1\n"
    )
    with pytest.raises(ReconcilerError) as caught:
        desk("authority", "retire", "--reason", "now")
    assert str(caught.value) == (
        "RW985: 1 agent(s) still have a certificate by an earlier key of the authority. "
        "Wait for a day, in which those that are there get another one; with --yes the rest "
        "has to ask to come back."
    )
    assert desk("authority", "retire", "--yes", "--reason", "now") == (
        f"key {first[:12]} is retired\n"
    )
    assert desk("authority", "retire", "--reason", "now") == "there is no earlier key to retire\n"
    with desk.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT what, reason FROM authority_event").all()
    assert rows == [("roll", "nine years old"), ("retire", "now")]
