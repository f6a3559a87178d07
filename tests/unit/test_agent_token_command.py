"""`rackwright agent token`: tokens that persons make, list and revoke."""

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from reconciler.app.join_tokens import NewToken
from reconciler.app.project import utc_now
from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError
from reconciler.state.database import open_database
from reconciler.state.join_tokens import Join, JoinTokens
from reconciler.trust.authority import Authority
from reconciler.trust.token import token_digest

FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: tokyo/row2}
spec: {network: lab}
"""


@pytest.fixture
def state(tmp_path):
    """Return a state directory that was served once, beside a repository."""
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "fleet.yaml").write_text(FLEET, "utf-8")
    state = tmp_path / "state"
    open_database(state / "rackwright.db").close()
    authority = Authority.load_or_create(state / "trust", utc_now())
    authority.server_credentials(IPv4Address("10.77.0.1"), utc_now())
    return state


def run(state, *arguments):
    options = ["--state", str(state), "--repo", str(state.parent / "fleet")]
    command = ["agent", "token", *arguments, *options]
    return CliRunner().invoke(cli, command, standalone_mode=False)


def made(state, *arguments):
    done = run(state, "new", "--format", "json", *arguments)
    assert done.exception is None, done.exception
    return json.loads(done.stdout)


def refused(state, *arguments):
    error = run(state, *arguments).exception
    assert isinstance(error, ReconcilerError)
    return f"{error.code} {error.cause}. {error.action}"


def joined(state, token_id, name="web-7", key="a", at=None):
    database = open_database(state / "rackwright.db")
    join = Join(token_id, key * 64, name, ("mac:52:54:00:00:00:07",), "10.77.0.7", at or utc_now())
    assert JoinTokens(database).join(join)
    database.close()


def test_a_new_token_is_printed_once_with_where_and_how_to_join(state):
    done = run(state, "new", "--reason", "web-7 by hand", "--https-port", "9443")
    words = dict(line.split() for line in done.stdout.splitlines() if line)
    pem = x509.load_pem_x509_certificate((state / "trust" / "server.crt").read_bytes())
    pin = hashlib.sha256(pem.public_bytes(serialization.Encoding.DER)).hexdigest()
    assert (words["server"], words["pin"]) == ("https://10.77.0.1:9443", pin)
    assert len(words["token"]) == 43
    join = f"rackwright-agent join --server https://10.77.0.1:9443 --pin {pin} --token-file -"
    assert done.stderr.endswith(
        f"\nThe token is not shown again. On the machine, as root:\n  {join}\n"
    )
    assert words["token"] not in done.stderr
    with closing(sqlite3.connect(state / "rackwright.db")) as database:
        dump = "\n".join(database.iterdump())
    assert words["token"] not in dump
    assert token_digest(words["token"]) in dump
    assert words["token"] not in run(state, "ls", "--all", "--format", "json").stdout


def test_a_token_has_terms_and_who_made_it(state):
    document = made(
        state, "--uses", "40", "--expires", "3d", "--group", "tokyo/row2", "--reason", "row 2"
    )
    assert document["command"].endswith(f"--pin {document['pin']} --token-file -")
    (listed,) = json.loads(run(state, "ls", "--format", "json").stdout)["tokens"]
    assert {key: document[key] for key in listed} == listed
    assert (listed["uses"], listed["left"], listed["group"]) == (40, 40, "tokyo/row2")
    assert (listed["reason"], listed["joined"]) == ("row 2", [])
    assert listed["madeBy"]
    said = run(state, "ls").stdout
    assert f"{document['id']}  made 0 s ago by " in said
    assert ", 40 of 40 uses left, for 2 d more, group tokyo/row2\n  reason: row 2\n" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--uses", "0"), "RW981 --uses is 0. 1 to 10,000 agents may join by a token"),
        (("--uses", "10001"), "RW981 --uses is 10,001. 1 to 10,000 agents may join by a token"),
        (("--expires", "4m"), "RW981 --expires is 4m. A token is good for 5m to 30d"),
        (("--expires", "31d"), "RW981 --expires is 31d. A token is good for 5m to 30d"),
        (("--expires", "9" * 15 + "w"), "A token is good for 5m to 30d"),
        (("--expires", "soon"), "RW981 --expires is soon. Give a time: "),
        (("--group", "tokyo/row3"), "there is no group tokyo/row3. Did you mean tokyo/row2?"),
        (("--reason", "x" * 10_000), "RW974 the reason has 10,000 characters"),
    ],
)
def test_impossible_terms_are_refused_and_nothing_is_made(state, arguments, said):
    assert said in refused(state, "new", *arguments)
    assert run(state, "ls", "--all").stdout == "no token was made\n"


def test_without_a_server_there_is_nothing_to_join(state):
    (state / "trust" / "server.crt").unlink()
    said = refused(state, "new")
    assert said.startswith(
        f"RW982 the server's certificate {state}/trust/server.crt cannot be read"
    )
    (state / "trust" / "server.crt").write_text("nonsense")
    assert refused(state, "new").startswith("RW982 ")


def test_a_list_says_who_joined_and_leaves_out_what_is_of_no_use(state):
    used = made(state)["id"]
    many = made(state, "--uses", "9")["id"]
    joined(state, used)
    for number in range(7):
        joined(state, many, f"web-{number}", str(number))
    said = run(state, "ls").stdout
    assert used not in said
    assert "2 of 9 uses left" in said
    assert "  joined: web-0 from 10.77.0.7, web-1 from" in said
    assert said.endswith(", 2 more\n")
    everything = run(state, "ls", "--all").stdout
    assert f"{used}  made" in everything
    assert "0 of 1 use left" in everything
    documents = json.loads(run(state, "ls", "--all", "--format", "json").stdout)["tokens"]
    assert [len(each["joined"]) for each in documents] == [7, 1]


def test_a_revoked_token_is_kept_with_who_revoked_it(state):
    token = made(state, "--uses", "3")["id"]
    assert refused(state, "revoke", token).startswith("RW941 no reason is given")
    done = run(state, "revoke", token[:5], "--reason", "mailed around")
    assert done.stdout == f"token {token} is revoked\n"
    assert run(state, "ls").stdout == "no token is of use\n"
    assert "revoked 0 s ago by " in run(state, "ls", "--all").stdout
    again = refused(state, "revoke", token, "--reason", "x")
    assert again.startswith(f"RW983 token {token} was revoked before")
    assert refused(state, "revoke", "zz", "--reason", "x") == (
        "RW983 no id begins with 'zz'. `rackwright agent token ls --all` lists all"
    )


def test_what_is_written_of_tokens_cannot_be_changed(state):
    token = made(state)["id"]
    joined(state, token)
    run(state, "revoke", token, "--reason", "x")
    with closing(sqlite3.connect(state / "rackwright.db")) as database:
        for change in (
            "UPDATE join_token SET uses = 9",
            "DELETE FROM join_token",
            "UPDATE join_token_end SET reason = ''",
            "DELETE FROM join_token_end",
            "UPDATE agent_join SET machine = 'x'",
            "DELETE FROM agent_join",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(change)


def test_the_text_of_a_token_is_in_no_representation(state):
    database = open_database(state / "rackwright.db")
    token = made(state)
    known = JoinTokens(database).of_id(token["id"])
    assert known.expires - known.at == timedelta(hours=2)
    assert "t-secret" not in repr(NewToken("t-secret", known))
    database.close()
