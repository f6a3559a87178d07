"""Approving plans by rule: persons, authors, tags, ends and whose rules are in force."""

import json
from datetime import timedelta

import pytest
from builders.signed_commits import SshKey
from builders.world import NOW, a_disk, a_machine, a_report
from click.testing import CliRunner

from reconciler.app.approvals import Approver, PlanApprovals
from reconciler.app.follow_approval_tags import count_tags
from reconciler.app.machine_selection import MachineFilter
from reconciler.app.project import Project
from reconciler.app.status import fleet_status
from reconciler.cli.agreement import confirm
from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError
from reconciler.planning.approvals import requirements
from reconciler.planning.item import Risk
from reconciler.state.approvals import Approvals
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import Runs, expiry_of
from tests.unit.git_repository import GitRepository

_S = OperationState
NODE, OTHER = a_machine(1), a_machine(2)
ADA, BOB, CYD, EVE = (Approver(name, f"{name}@desk") for name in ("ada", "bob", "cyd", "eve"))
HOUR = timedelta(hours=1)


def a_person(name, **more):
    person = {"name": name, "logins": [name], "emails": [f"{name}@example.org"]}
    return {**person, "roles": ["operator"], **more}


PERSONS = [a_person(name) for name in ("ada", "bob", "cyd")]
TWO = {"roles": ["operator"], "persons": 2, "excludeAuthor": True, "expires": "8h"}
RULES = {"persons": PERSONS, "safe": TWO}


def documents(approvals, run="1", machines=(NODE, OTHER)):
    spec = {"approvals": approvals} if approvals else {}
    found = [
        {"kind": "Fleet", "metadata": {"name": "f"}, "spec": spec},
        {"kind": "Network", "metadata": {"name": "n"}, "spec": {"subnet": "10.77.0.0/24"}},
        {"kind": "Group", "metadata": {"name": "lab"}, "spec": {"network": "n"}},
        {
            "kind": "Scenario",
            "metadata": {"name": "look"},
            "spec": {"steps": [{"inspectDisks": {}}]},
        },
    ]
    for machine in machines:
        hardware = {"macs": list(machine.macs), "uuid": machine.uuid}
        spec = {"group": "lab", "hardware": hardware, "assign": [{"scenario": "look", "run": run}]}
        found.append({"kind": "Machine", "metadata": {"name": machine.name}, "spec": spec})
    return "\n---\n".join(
        json.dumps({"apiVersion": "rackwright/v1alpha1", **each}) for each in found
    )


class Fleet:
    """A repository that several persons write, and one state directory."""

    def __init__(self, path):
        self.repository = GitRepository(path / "fleet")
        self.state = path / "state"
        self.commit("admin", documents(RULES))

    def commit(self, author, text, *options):
        email = f"{author}@example.org"
        self.repository.write({"fleet.yaml": text})
        self.repository.git("add", "--all")
        who = ["-c", f"user.name={author}", "-c", f"user.email={email}"]
        self.repository.git(*who, *options, "commit", "-q", "--allow-empty", "-m", "a change")
        return self.repository.git("rev-parse", "HEAD")

    def project(self):
        return Project(str(self.repository.path), None, self.state)

    def report(self, now):
        project = self.project()
        for machine in (NODE, OTHER):
            disk = a_disk(machine.name)
            Machines(project.database).record_report(machine, a_report(machine, disk), now)
            Machines(project.database).record_contact(machine, "deploy-os", now)

    def approve(self, approver, now=NOW, *, reason="reviewed", kind="apply"):
        """Approve the plan of this moment, as ``apply`` and ``approve`` do."""
        self.report(now)
        project = self.project()
        plan = project.plan(now)
        approvals = PlanApprovals(project, now)
        subject = approvals.subject_of(plan, plan.to_apply, kind, reason)
        approvals.require_may(subject, approver)
        project.accept(approver.actor, now)
        return PlanApprovals(project, now).give(subject, approver, reason)

    def states(self):
        return {
            each.operation.machine: each.state for each in Ledger(self.project().database).current()
        }

    def waiting(self, now=NOW):
        return PlanApprovals(self.project(), now).waiting()

    def rules_of(self):
        return Approvals(self.project().database).approved_revision()


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def refused(fleet, approver, **more):
    with pytest.raises(ReconcilerError) as caught:
        fleet.approve(approver, **more)
    return caught.value


# --- two persons -------------------------------------------------------------------------


def test_the_first_of_two_approvals_is_kept_and_lets_nothing_begin(fleet):
    answer = fleet.approve(ADA)
    assert (answer.complete, answer.run) == (False, None)
    (needed,) = answer.requirements
    assert (needed.missing, needed.may) == (1, ("bob", "cyd"))
    assert set(fleet.states().values()) == {_S.PLANNED}
    (waiting,) = fleet.waiting()
    assert [(each.person, each.reason) for each in waiting.given] == [("ada", "reviewed")]


def test_the_second_lets_it_begin_until_the_first_expires(fleet):
    fleet.approve(ADA)
    answer = fleet.approve(BOB, NOW + HOUR)
    assert answer.complete
    assert set(fleet.states().values()) == {_S.APPROVED}
    database = fleet.project().database
    ends = {expiry_of(database, each) for each in Runs(database).op_ids(answer.run)}
    assert ends == {NOW + 8 * HOUR}
    assert answer.run.actor == "ada, bob"


def test_the_same_person_twice_is_one(fleet):
    fleet.approve(ADA)
    assert not fleet.approve(ADA, NOW + HOUR).complete
    (waiting,) = fleet.waiting(NOW + HOUR)
    assert waiting.requirements[0].missing == 1


def test_a_first_approval_that_expired_does_not_count(fleet):
    fleet.approve(ADA)
    assert not fleet.approve(BOB, NOW + 8 * HOUR).complete
    assert fleet.waiting(NOW + 17 * HOUR) == ()


def test_who_is_no_person_of_the_rules_is_refused_and_told_whom_to_ask(fleet):
    error = refused(fleet, EVE)
    assert error.code == "RW961"
    assert error.cause == "the login eve belongs to nobody who may approve this plan"
    assert error.action == "Ask ada, bob, cyd"
    assert fleet.waiting() == ()


def test_without_rules_any_local_user_approves(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.commit("admin", documents({}))
    answer = fleet.approve(EVE)
    assert answer.complete
    assert set(fleet.states().values()) == {_S.APPROVED}
    database = fleet.project().database
    assert [expiry_of(database, each) for each in Runs(database).op_ids(answer.run)] == [None, None]


def test_the_plan_says_what_is_missing(fleet):
    fleet.approve(ADA)
    fleet.report(NOW)
    (needed,) = fleet.project().plan(NOW).requirements
    assert [name for name, _ in needed.given] == ["ada"]
    assert needed.missing == 1


def test_status_says_what_is_missing(fleet):
    fleet.report(NOW)
    before = fleet_status(fleet.project(), MachineFilter(), (), NOW)
    assert before.machines[0].reason.startswith(
        "waits for approval (needs 2 persons of role operator): look run 1"
    )
    assert before.approvals == ()
    fleet.approve(ADA)
    after = fleet_status(fleet.project(), MachineFilter(), (), NOW)
    assert after.machines[0].reason.startswith(
        "waits for approval (needs 2 persons of role operator; given by ada until 2026-11-21 "
        "20:00 UTC): look run 1"
    )
    (sentence,) = after.approvals
    assert sentence.endswith("by ada until 2026-11-21 20:00 UTC; 1 more, by bob or cyd.")


def test_a_look_at_unknown_disks_needs_what_disruptive_work_needs(fleet):
    fleet.commit("admin", documents({"persons": PERSONS, "disruptive": TWO}))
    rules = PlanApprovals(fleet.project(), NOW).rules
    (needed,) = requirements(rules, {Risk.UNKNOWN}, (), (), NOW)
    assert (needed.what, needed.risk) == ("disruptive work", Risk.DISRUPTIVE)


# --- authors ------------------------------------------------------------------------------


def test_who_wrote_the_change_does_not_count(fleet):
    fleet.approve(ADA)
    fleet.approve(BOB)
    end_all(fleet)
    fleet.commit("ada", documents(RULES, run="2"))
    error = refused(fleet, ADA)
    assert (error.code, error.cause) == (
        "RW962",
        "ada may not approve this: safe work is not approved by its author",
    )
    assert error.action == "Ask bob, cyd"


def test_a_commit_under_another_address_is_theirs_by_its_signature(fleet, tmp_path):
    key = SshKey(tmp_path, "ada")
    rules = {**RULES, "persons": [{**PERSONS[0], "keys": [key.public]}, *PERSONS[1:]]}
    fleet.commit("admin", documents(rules))
    fleet.approve(ADA)
    fleet.approve(BOB)
    end_all(fleet)
    fleet.commit("somebody", documents(rules, run="2"), *key.options, "-c", "commit.gpgSign=true")
    assert refused(fleet, ADA).code == "RW962"
    fleet.approve(CYD)


def test_what_was_approved_once_is_nobodys_change_any_more(fleet):
    fleet.commit("ada", documents(RULES))
    fleet.approve(BOB)
    fleet.approve(CYD)
    assert fleet.rules_of().revision == fleet.project().fleet.revision
    fleet.commit("bob", documents(RULES, run="2"))
    end_all(fleet)
    fleet.approve(ADA)
    assert refused(fleet, BOB).code == "RW962"


def end_all(fleet):
    ledger = Ledger(fleet.project().database)
    for status in ledger.under_way():
        ledger.move(
            status.operation.op_id,
            status.state,
            _S.CANCELLED,
            attempt=0,
            at=NOW,
            actor="test",
            reason="over",
        )


# --- whose rules ---------------------------------------------------------------------------


def test_a_commit_cannot_grant_its_author_the_right(fleet):
    fleet.approve(ADA)
    fleet.approve(BOB)
    end_all(fleet)
    mallory = {"persons": [a_person("eve")], "safe": {"roles": ["operator"]}}
    fleet.commit("eve", documents(mallory, run="2"))
    assert refused(fleet, EVE).code == "RW961"
    fleet.commit("eve", documents({}, run="3"))
    fleet.project().accept("server", NOW)  # what the server takes gives nobody a right
    assert refused(fleet, EVE).code == "RW961"


def test_a_change_of_the_rules_is_in_force_once_the_rules_of_before_approved_it(fleet):
    fleet.approve(ADA)
    fleet.approve(BOB)
    end_all(fleet)
    one = {"persons": [*PERSONS, a_person("eve")], "safe": {"roles": ["operator"]}}
    fleet.commit("ada", documents(one, run="2"))
    first = fleet.approve(BOB)
    assert [each.what for each in first.requirements] == [
        "safe work",
        "a change of the approval rules",
    ]
    assert fleet.approve(CYD).complete
    end_all(fleet)
    fleet.commit("ada", documents(one, run="3"))
    assert fleet.approve(EVE).complete


def test_rules_are_in_force_from_the_first_commit_that_has_some(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.project().accept("server", NOW)
    fleet.commit("eve", documents({}))
    assert refused(fleet, EVE).code == "RW961"


def test_the_way_out_is_kept_with_its_reason(fleet):
    fleet.approve(ADA)
    gone = {"persons": [a_person("eve")], "safe": {"roles": ["operator"]}}
    fleet.commit("eve", documents(gone))
    project = fleet.project()
    project.accept("root@desk", NOW)
    PlanApprovals(project, NOW).take_over_by_hand(Approver("root", "root@desk"), "they all left")
    assert fleet.rules_of().reason == "by hand: they all left"
    assert fleet.approve(EVE).complete


def test_what_no_commit_vouches_for_is_approved_by_nobody_where_authors_do_not_count(tmp_path):
    fleet = Fleet(tmp_path)
    (tmp_path / "fleet" / ".git").rename(tmp_path / "git")
    fleet.approve(ADA)
    fleet.repository.write({"fleet.yaml": documents(RULES, run="2")})
    error = refused(fleet, BOB)
    assert error.code == "RW963"
    assert "nobody knows who wrote worktree:" in error.cause


def test_files_outside_git_are_approved_where_authors_count(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.repository.write({"fleet.yaml": documents({**RULES, "safe": {"roles": ["operator"]}})})
    (tmp_path / "fleet" / ".git").rename(tmp_path / "git")
    assert fleet.approve(ADA).complete
    end_all(fleet)
    fleet.repository.write(
        {"fleet.yaml": documents({**RULES, "safe": {"roles": ["operator"]}}, run="2")}
    )
    assert refused(fleet, EVE).code == "RW961"
    assert fleet.approve(BOB).complete


# --- tags ----------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path):
    return {name: SshKey(tmp_path, name) for name in ("bob", "cyd", "eve")}


@pytest.fixture
def signed(fleet, keys):
    """Return a fleet whose persons bob and cyd sign tags; the tests' are 18 days old."""
    fleet.commit("admin", documents(signing(keys, "30d")))
    return fleet


def signing(keys, expires):
    persons = [{**each, "keys": [keys[each["name"]].public]} for each in PERSONS[1:]]
    return {"persons": [PERSONS[0], *persons], "safe": {**TWO, "expires": expires}}


def digest_of(fleet):
    fleet.report(NOW)
    return fleet.project().plan(NOW).digest


def tag(fleet, key, name, commit="HEAD"):
    fleet.repository.git(*key.options, "tag", "-s", "-f", "-m", "go", name, commit)


def test_a_signed_tag_is_an_approval(signed, keys):
    tag(signed, keys["bob"], f"approve/{digest_of(signed)[:12]}")
    answer = signed.approve(ADA)
    assert answer.complete
    given = Approvals(signed.project().database).given(digest_of_run(answer))
    assert [(each.person, each.means) for each in given] == [("bob", "tag"), ("ada", "login")]
    assert given[0].actor.startswith("approve/")


def test_a_tag_expires_as_of_when_it_was_made(fleet, keys):
    fleet.commit("admin", documents(signing(keys, "17d")))
    tag(fleet, keys["bob"], f"approve/{digest_of(fleet)[:12]}")
    assert not fleet.approve(ADA).complete


def digest_of_run(answer):
    return answer.run.plan_digest


def test_two_signed_tags_need_no_login(signed, keys):
    digest = digest_of(signed)
    tag(signed, keys["bob"], f"approve/{digest[:12]}")
    tag(signed, keys["cyd"], f"approve/{digest[:20]}")
    assert signed.approve(EVE).complete


def test_the_server_counts_tags_on_what_waits(signed, keys):
    count_tags(signed.project(), NOW)
    assert not signed.approve(ADA).complete
    count_tags(signed.project(), NOW)
    assert set(signed.states().values()) == {_S.PLANNED}
    (waiting,) = signed.waiting()
    tag(signed, keys["bob"], f"approve/{waiting.subject.request.digest[:12]}")
    count_tags(signed.project(), NOW)
    assert set(signed.states().values()) == {_S.APPROVED}


def test_tags_approve_nothing_whose_health_cannot_be_asked_here(signed, keys, monkeypatch):
    digest = digest_of(signed)
    assert not signed.approve(ADA).complete
    tag(signed, keys["bob"], f"approve/{digest[:12]}")

    def refuse(*_):
        raise ReconcilerError("RW658", "there is no program", "put it there")

    monkeypatch.setattr("reconciler.app.approvals.require_health_checks", refuse)
    count_tags(signed.project(), NOW)
    assert set(signed.states().values()) == {_S.PLANNED}
    monkeypatch.undo()
    count_tags(signed.project(), NOW)
    assert set(signed.states().values()) == {_S.APPROVED}


@pytest.mark.parametrize(
    "kind", ["another's key", "another plan", "too short", "another commit", "moved", "unsigned"]
)
def test_no_other_tag_is_an_approval(signed, keys, kind):
    digest = digest_of(signed)
    name = f"approve/{digest[:12]}"
    git = signed.repository.git
    if kind == "another's key":
        tag(signed, keys["eve"], name)
    elif kind == "another plan":
        tag(signed, keys["bob"], "approve/0123456789ab")
    elif kind == "too short":
        tag(signed, keys["bob"], f"approve/{digest[:11]}")
    elif kind == "another commit":
        tag(signed, keys["bob"], name, "HEAD~1")
    elif kind == "moved":
        tag(signed, keys["bob"], "approve/0123456789ab")
        git("update-ref", f"refs/tags/{name}", "refs/tags/approve/0123456789ab")
    else:
        git("tag", "-a", "-m", "go", name)
    assert not signed.approve(ADA).complete


# --- by digest, and taking back -------------------------------------------------------------


def test_what_was_asked_for_is_approved_by_its_digest(fleet):
    fleet.approve(ADA)
    (waiting,) = fleet.waiting()
    project = fleet.project()
    approvals = PlanApprovals(project, NOW)
    request = approvals.asked_for(waiting.subject.request.digest[:12])
    subject, none = approvals.subject_asked_for(request, project.plan(NOW))
    assert (len(subject.operations), none) == (2, [])
    assert approvals.give(subject, BOB, "reviewed").complete


def test_of_a_plan_that_became_stale_the_rest_is_approved(fleet):
    fleet.approve(ADA)
    (waiting,) = fleet.waiting()
    fleet.commit("admin", documents(RULES, machines=(OTHER,)))
    fleet.report(NOW)
    project = fleet.project()
    approvals = PlanApprovals(project, NOW)
    subject, stale = approvals.subject_asked_for(waiting.subject.request, project.plan(NOW))
    assert [operation.machine for operation, _ in subject.operations] == ["node-02"]
    assert stale == [("node-01", "nothing is to be done there")]


def test_an_approval_that_is_withdrawn_counts_no_more(fleet):
    fleet.approve(ADA)
    request = fleet.waiting()[0].subject.request
    assert PlanApprovals(fleet.project(), NOW).withdraw(request, ADA, "wrong run") == 0
    assert fleet.waiting() == ()
    assert not fleet.approve(BOB).complete


def test_what_waits_for_its_turn_is_planned_again_when_an_approval_is_withdrawn(fleet):
    fleet.approve(ADA)
    fleet.approve(BOB)
    request = fleet.waiting()[0].subject.request
    assert PlanApprovals(fleet.project(), NOW).withdraw(request, BOB, "wrong run") == 2
    assert set(fleet.states().values()) == {_S.PLANNED}
    last = Ledger(fleet.project().database).current()[0]
    assert last.reason == "RW641: bob withdrew the approval: wrong run"


def test_nobody_withdraws_anothers_approval(fleet):
    fleet.approve(ADA)
    request = fleet.waiting()[0].subject.request
    for approver in (BOB, EVE):
        with pytest.raises(ReconcilerError, match="RW964"):
            PlanApprovals(fleet.project(), NOW).withdraw(request, approver, "x")
    assert len(fleet.waiting()[0].given) == 1


def test_a_tag_that_was_withdrawn_does_not_count_again(signed, keys):
    tag(signed, keys["bob"], f"approve/{digest_of(signed)[:12]}")
    answer = signed.approve(ADA)
    request = signed.waiting()[0].subject.request
    PlanApprovals(signed.project(), NOW).withdraw(request, BOB, "wrong")
    assert answer.complete
    assert not signed.approve(ADA).complete


# --- the commands --------------------------------------------------------------------------


def said(fleet, monkeypatch, login, *arguments):
    monkeypatch.setattr("reconciler.cli.approving.login", lambda: login)
    monkeypatch.setattr("reconciler.cli.approving.who", lambda: f"{login}@desk")
    for name in ("apply", "approve", "approvals", "run"):
        monkeypatch.setattr(f"reconciler.cli.{name}.utc_now", lambda: NOW, raising=False)
    places = ["--repo", str(fleet.repository.path), "--state", str(fleet.state)]
    return CliRunner().invoke(
        cli, [*arguments, *places], standalone_mode=False, catch_exceptions=False
    )


@pytest.mark.parametrize("disks", [0, 3])
def test_without_a_terminal_the_refusal_says_how_to_agree(disks):
    yes = f"--yes={disks}" if disks else "--yes"
    with CliRunner().isolation(input=""), pytest.raises(ReconcilerError) as refused:
        confirm("d" * 64, disks, None)
    assert str(refused.value) == (
        "RW917: nobody can be asked here, and nothing was approved. Review plan dddddddddddd; to "
        f"agree, say `{yes}`."
    )
    with CliRunner().isolation(input=f"{disks}\n" if disks else "y\n"):
        confirm("d" * 64, disks, None)


def test_a_yes_without_a_number_agrees_to_no_disk():
    with pytest.raises(ReconcilerError, match=r"overwrites 3 disk.* `--yes` alone agrees to none"):
        confirm("d" * 64, 3, 0)


def test_two_persons_approve_by_command(fleet, monkeypatch):
    fleet.report(NOW)
    first = said(fleet, monkeypatch, "ada", "approve", "--reason", "change 1", "--yes")
    assert first.return_value == 4
    assert "2 persons of role operator; given by ada until" in first.output
    listed = said(fleet, monkeypatch, "bob", "approvals", "--format", "json")
    (each,) = json.loads(listed.output)["approvals"]
    assert (each["state"], each["requirements"][0]["missing"]) == ("pending", 1)
    digest = each["digest"][:12]
    second = said(fleet, monkeypatch, "bob", "approve", digest, "--reason", "ok", "--yes")
    assert (second.return_value, "is approved" in second.output) == (0, True)
    assert set(fleet.states().values()) == {_S.APPROVED}
    shown = said(fleet, monkeypatch, "bob", "approvals").output
    assert "approved, waits for its turn until 2026-11-21 20:00 UTC" in shown
    assert "ada, 2026-11-21 12:00 UTC, by login ada@desk: change 1" in shown
    back = said(fleet, monkeypatch, "ada", "approvals", "--withdraw", digest, "--reason", "no")
    assert back.output == "withdrawn; 2 operations planned again\n"


def test_a_run_by_hand_waits_for_the_second_person_too(fleet, monkeypatch):
    fleet.report(NOW)
    fleet.project().accept("ada@desk", NOW)
    order = ["run", "look", "--on", "node-01", "--reason", "disk", "--no-wait", "--yes"]
    assert said(fleet, monkeypatch, "ada", *order).return_value == 4
    (waiting,) = fleet.waiting()
    digest = waiting.subject.request.digest[:12]
    done = said(fleet, monkeypatch, "bob", "approve", digest, "--reason", "ok", "--yes")
    assert "look run by-hand/20261121-120000" in done.output
    assert fleet.states() == {"node-01": _S.APPROVED}


def test_the_way_out_is_a_command_that_needs_a_reason(fleet, monkeypatch):
    fleet.approve(ADA)
    gone = {"persons": [a_person("eve")], "safe": {"roles": ["operator"]}}
    commit = fleet.commit("eve", documents(gone))
    monkeypatch.setattr("reconciler.cli.approving.login", lambda: "root")
    places = ["--repo", str(fleet.repository.path), "--state", str(fleet.state)]
    for arguments in (["--approvals"], ["--approvals", "--reason", "they all left"]):
        done = CliRunner().invoke(
            cli, ["accept", commit, *arguments, *places], standalone_mode=False
        )
        if "--reason" in arguments:
            assert done.output.splitlines()[-1] == "its approval rules are in force"
        else:
            assert isinstance(done.exception, ReconcilerError)
            assert done.exception.code == "RW941"
            assert fleet.rules_of().revision != commit
    assert fleet.rules_of().revision == commit
    assert fleet.rules_of().reason == "by hand: they all left"
    assert fleet.approve(EVE).complete


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["approve", "--yes"], "RW941"),
        (["approve", "0123456789ab", "--reason", "x", "--yes"], "RW965"),
        (["approve", "abc", "--reason", "x", "--yes"], "RW965"),
        (["approvals", "--withdraw", "0123456789ab", "--reason", "x"], "RW966"),
        (["approvals", "--withdraw", "0123456789ab"], "RW941"),
        (["apply", "--reason", "x" * 1001, "--yes"], "RW974"),
    ],
)
def test_what_is_not_whole_or_not_there_is_refused(fleet, monkeypatch, arguments, code):
    fleet.report(NOW)
    with pytest.raises(ReconcilerError) as caught:
        said(fleet, monkeypatch, "ada", *arguments)
    assert caught.value.code == code
