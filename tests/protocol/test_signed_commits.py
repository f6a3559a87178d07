"""Signatures made by git with ssh-keygen and gpg, and what comes of them."""

import subprocess
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reconciler.app.revision_policy import RevisionPolicy
from reconciler.errors import SourceError
from reconciler.git.commit_policy import Accept, Refuse
from reconciler.git.gpg_command import import_key, make_home
from reconciler.git.location import open_source, repository_path
from reconciler.git.repository import find_repository
from reconciler.git.revision import find_revision
from reconciler.git.signature import Finding
from reconciler.git.signature_check import check_signature
from reconciler.git.worktree import read_worktree
from reconciler.state.accepted_revisions import AcceptedRevisions
from reconciler.state.database import open_database
from specs.compile.fleet import compile_commits, compile_fleet
from specs.fleet import CompiledSigner
from tests.builders.signed_commits import (
    GpgKey,
    SignedRepository,
    SshKey,
    fleet_document,
    gpg_homes,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
IMAGE = "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: golden}\n"


@pytest.fixture
def jane(tmp_path):
    return SshKey(tmp_path, "jane")


@pytest.fixture
def joe(tmp_path):
    return SshKey(tmp_path, "joe")


@pytest.fixture
def homes():
    with gpg_homes() as directory:
        yield directory


@pytest.fixture
def repository(tmp_path, git_environment):
    del git_environment
    return SignedRepository(tmp_path / "fleet")


@pytest.fixture
def revisions(tmp_path):
    path = tmp_path / "state" / "rackwright.db"
    database = open_database(path)
    yield AcceptedRevisions(path, lambda: database)
    database.close()


class Gate:
    """An admission that accepts what it may, as ``serve`` and ``apply`` do."""

    def __init__(self, location, cache, revisions):
        self.admission = RevisionPolicy(str(location), cache, revisions)
        self.path = repository_path(str(location), cache)

    def judge(self, ref="HEAD"):
        tree = find_revision(self.path, ref).read()
        result = compile_fleet(tree.files, tree.revision)
        assert result.fleet is not None, result.diagnostics
        return tree, self.admission.judge(tree.own_commit, result.fleet.settings.commits)

    def take(self, ref="HEAD"):
        """Accept a commit that must be acceptable; return why it is."""
        tree, decision = self.judge(ref)
        assert isinstance(decision, Accept), decision
        self.admission.accept(tree.own_commit, "test", decision.reason, NOW)
        return decision.reason

    def refusal(self, ref="HEAD"):
        _, decision = self.judge(ref)
        assert isinstance(decision, Refuse), decision
        return decision.error

    def code(self, ref="HEAD"):
        return self.refusal(ref).code


@pytest.fixture
def gate(repository, tmp_path, revisions):
    return Gate(repository.path, tmp_path / "cache", revisions)


def finding(repository, commit, *signers):
    policy = compile_commits({"fleet.yaml": fleet_document(signers).encode()})
    assert policy is not None
    return check_signature(find_repository(repository.path).git, commit, policy)


def fingerprint(key):
    done = subprocess.run(
        ["ssh-keygen", "-lf", f"{key.path}.pub"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[1]


class TestSshSignatures:
    def test_a_listed_key_is_good_and_named(self, repository, jane, joe):
        verdict = finding(repository, repository.signed("One", joe), jane, joe)
        assert (verdict.finding, verdict.signer) == (Finding.GOOD, "joe")
        assert verdict.key == fingerprint(joe)

    @pytest.mark.parametrize("algorithm", ["rsa", "ecdsa"])
    def test_other_kinds_of_keys_are_good_too(self, repository, tmp_path, algorithm):
        key = SshKey(tmp_path, "jim", algorithm)
        assert finding(repository, repository.signed("One", key), key).finding is Finding.GOOD

    def test_a_sha256_repository_is_verified_too(self, tmp_path, git_environment, jane):
        del git_environment
        repository = SignedRepository(tmp_path / "sha256", "--object-format=sha256")
        signed = repository.signed("One", jane)
        assert len(signed) == 64
        assert finding(repository, signed, jane).finding is Finding.GOOD
        changed = repository.with_content(signed, "One", "Two")
        assert finding(repository, changed, jane).finding is Finding.DAMAGED

    def test_no_signature(self, repository, jane):
        assert finding(repository, repository.signed("One", None), jane).finding is Finding.UNSIGNED

    def test_a_key_that_is_not_listed_is_shown_by_its_fingerprint(self, repository, jane, joe):
        verdict = finding(repository, repository.signed("One", joe), jane)
        assert (verdict.finding, verdict.key) == (Finding.UNKNOWN_KEY, fingerprint(joe))

    @pytest.mark.parametrize(
        ("old", "new"), [("One", "Two"), ("Jane Doe", "Joe Doe"), ("author", "parent " + "0" * 40)]
    )
    def test_a_commit_that_was_changed_afterwards_is_not_good(self, repository, jane, old, new):
        if old == "author":
            new = f"parent {repository.signed('Zero', None)}\nauthor"
        changed = repository.with_content(repository.signed("One", jane), old, new)
        assert finding(repository, changed, jane).finding is Finding.DAMAGED

    def test_a_signature_moved_to_another_tree_is_not_good(self, repository, jane):
        signed = repository.signed("One", jane)
        other = repository.signed("Evil", None, image=IMAGE)
        tree = repository.git("rev-parse", f"{signed}^{{tree}}")
        moved = repository.with_content(
            signed, tree, repository.git("rev-parse", f"{other}^{{tree}}")
        )
        assert finding(repository, moved, jane).finding is Finding.DAMAGED

    @pytest.mark.parametrize(
        ("namespace", "expected"), [("git", Finding.GOOD), ("file", Finding.DAMAGED)]
    )
    def test_a_signature_of_a_file_is_none_of_a_commit(self, repository, jane, namespace, expected):
        signed = repository.signed("One", jane)
        content = repository.git("cat-file", "commit", signed)
        head, _, message = content.partition("\n\n")
        header = head.partition("gpgsig ")[2]
        unsigned = f"{head.partition('gpgsig ')[0].strip()}\n\n{message}\n"
        # The same bytes that git signs.
        made = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", jane.path],
            input=unsigned.encode(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        forged = repository.with_content(signed, header, made.strip().replace("\n", "\n "))
        assert finding(repository, forged, jane).finding is expected

    def test_the_users_own_configuration_has_no_say(
        self, repository, jane, joe, tmp_path, monkeypatch
    ):
        allowed, revoked = tmp_path / "allowed", tmp_path / "revoked"
        allowed.write_text(f"* {joe.public}\n", "ascii")
        revoked.write_text(f"{jane.public}\n", "ascii")
        configuration = tmp_path / "gitconfig"
        configuration.write_text(
            f'[gpg "ssh"]\nallowedSignersFile = {allowed}\nrevocationFile = {revoked}\n', "ascii"
        )
        by_jane, by_joe = repository.signed("One", jane), repository.signed("Two", joe)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
        assert finding(repository, by_jane, jane).finding is Finding.GOOD
        assert finding(repository, by_joe, jane).finding is Finding.UNKNOWN_KEY

    def test_programs_that_the_repository_names_do_not_run(self, repository, jane, joe, tmp_path):
        program = tmp_path / "evil"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", "ascii")
        program.chmod(0o700)
        signed = repository.signed("One", joe)
        for name in ("gpg.program", "gpg.openpgp.program", "gpg.x509.program", "gpg.ssh.program"):
            repository.git("config", name, str(program))
        assert finding(repository, signed, jane).finding is Finding.UNKNOWN_KEY
        assert finding(repository, signed, joe).finding is Finding.GOOD
        assert not (tmp_path / "ran").exists()

    def test_a_replaced_commit_is_judged_as_it_was_made(self, repository, jane, joe):
        evil = repository.signed("Evil", joe)
        good = repository.signed("Good", jane)
        repository.git("replace", evil, good)
        assert finding(repository, evil, jane).finding is Finding.UNKNOWN_KEY

    def test_a_missing_program_is_named_with_its_package(self, repository, jane, monkeypatch):
        signed = repository.signed("One", jane)
        monkeypatch.setattr("shutil.which", lambda _: None)
        with pytest.raises(SourceError, match="RW737: the program ssh-keygen, which verifies"):
            finding(repository, signed, jane)


class TestGpgSignatures:
    def test_a_listed_key_is_good_and_named(self, repository, homes):
        jane, joe = GpgKey(homes / "1", "jane"), GpgKey(homes / "2", "joe")
        signed = repository.signed("One", joe)
        verdict = finding(repository, signed, jane, joe)
        assert (verdict.finding, verdict.signer) == (Finding.GOOD, "joe")
        assert finding(repository, signed, jane).finding is Finding.UNKNOWN_KEY

    def test_a_key_with_a_listed_persons_name_is_another_key(self, repository, homes):
        jane, impostor = GpgKey(homes / "1", "jane"), GpgKey(homes / "2", "jane")
        signed = repository.signed("One", impostor)
        assert finding(repository, signed, jane).finding is Finding.UNKNOWN_KEY

    def test_a_commit_that_was_changed_afterwards_is_not_good(self, repository, homes):
        jane = GpgKey(homes / "1", "jane")
        changed = repository.with_content(repository.signed("One", jane), "One", "Two")
        assert finding(repository, changed, jane).finding is Finding.DAMAGED

    def test_an_expired_key_is_refused_even_for_what_it_signed_in_its_time(self, repository, homes):
        old = GpgKey(homes / "1", "jane", made="20200101T000000", lives="1d")
        verdict = finding(repository, repository.signed("One", old), old)
        assert (verdict.finding, verdict.signer) == (Finding.EXPIRED, "jane")

    def test_a_revoked_key_is_refused(self, repository, homes):
        jane = GpgKey(homes / "1", "jane")
        signed = repository.signed("One", jane)
        assert finding(repository, signed, jane).finding is Finding.GOOD
        jane.revoke()
        verdict = finding(repository, signed, jane)
        assert (verdict.finding, verdict.signer) == (Finding.REVOKED, "jane")

    def test_the_users_own_key_ring_has_no_say(self, repository, homes, monkeypatch):
        jane, joe = GpgKey(homes / "1", "jane"), GpgKey(homes / "2", "joe")
        signed = repository.signed("One", joe)
        monkeypatch.setenv("GNUPGHOME", str(joe.home))
        before = sorted(path.name for path in joe.home.iterdir())
        assert finding(repository, signed, jane).finding is Finding.UNKNOWN_KEY
        assert sorted(path.name for path in joe.home.iterdir()) == before

    def test_the_other_kind_of_signature_is_not_tried(self, repository, homes, jane):
        gpg = GpgKey(homes / "1", "jane")
        assert finding(repository, repository.signed("1", jane), gpg).finding is Finding.OTHER_KIND
        assert finding(repository, repository.signed("2", gpg), jane).finding is Finding.OTHER_KIND

    def test_no_agent_is_started(self, homes):
        make_home(homes / "ring")
        import_key(homes / "ring", CompiledSigner("jane", GpgKey(homes / "1", "jane").public))
        assert not (homes / "ring/private-keys-v1.d").exists()

    def test_no_file_stays_behind(self, repository, homes, tmp_path, monkeypatch):
        jane = GpgKey(homes / "1", "jane")
        signed = repository.signed("One", jane)
        (tmp_path / "t").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
        assert finding(repository, signed, jane).finding is Finding.GOOD
        assert list((tmp_path / "t").iterdir()) == []

    def test_a_block_without_a_key_names_its_signer(self, repository, homes):
        jane = GpgKey(homes / "1", "jane")
        signed = repository.signed("One", jane)
        jane.public = (
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----"
        )
        with pytest.raises(SourceError, match=r"RW738: gpg takes no key from what .* for jane"):
            finding(repository, signed, jane)


class TestHistory:
    def test_a_fleet_from_its_first_commit_on(self, gate, repository, jane, joe):
        repository.signed("First", None, signers=[])
        assert gate.take() == "no signature is required"
        repository.signed("Sign from now on", jane, signers=[jane])
        assert gate.take() == "signed by jane"
        repository.signed("Joe too", jane, signers=[jane, joe])
        repository.signed("By Joe", joe)
        assert gate.take() == "signed by joe"
        repository.signed("No longer Joe", jane, signers=[jane])
        repository.signed("By Joe again", joe)
        assert gate.code() == "RW731"
        repository.signed("Jane vouches", jane)
        assert gate.take() == "signed by jane"

    def test_signers_that_cannot_sign_are_not_introduced(self, gate, repository, jane, joe):
        repository.signed("First", None, signers=[])
        gate.take()
        repository.signed("Jane's key, by Joe", joe, signers=[jane])
        assert gate.code() == "RW731"

    def test_who_lists_himself_is_refused(self, gate, repository, jane, joe):
        repository.signed("First", jane, signers=[jane])
        gate.take()
        repository.signed("I am Joe", joe, signers=[jane, joe])
        assert gate.code() == "RW731"
        repository.signed("And again", joe)
        assert gate.code() == "RW731"

    def test_the_signature_may_not_be_dropped(self, gate, repository, jane):
        repository.signed("First", jane, signers=[jane])
        gate.take()
        repository.signed("Nobody", None, signers=[])
        assert gate.code() == "RW730"

    def test_an_amended_commit_is_a_rewritten_history_though_it_is_signed(
        self, gate, repository, jane
    ):
        repository.signed("First", jane, signers=[jane])
        accepted = repository.signed("Second", jane)
        gate.take()
        amended = repository.commit_as(jane, "--amend", "--allow-empty", "--message=Other")
        error = gate.refusal()
        assert error.code == "RW735"
        assert amended[:12] in error.cause
        assert accepted[:12] in error.cause

    def test_a_branch_that_is_set_back_is_refused_and_set_forward_again_taken(
        self, gate, repository, jane
    ):
        repository.signed("First", jane, signers=[jane])
        accepted = repository.signed("Second", jane)
        gate.take()
        repository.git("reset", "--quiet", "--hard", "HEAD~1")
        assert "is older than" in gate.refusal().cause
        repository.git("reset", "--quiet", "--hard", accepted)
        gate.take()
        repository.signed("Third", jane)
        gate.take()

    def test_other_histories_are_refused_where_nothing_is_signed_too(self, gate, repository):
        repository.signed("First", None, signers=[])
        gate.take()
        repository.git("checkout", "--quiet", "--orphan", "other")
        repository.signed("Another first", None)
        assert gate.code() == "RW735"

    def test_replacements_and_grafts_cannot_make_a_rewritten_history_look_continued(
        self, gate, repository
    ):
        accepted = repository.signed("First", None, signers=[])
        gate.take()
        repository.git("checkout", "--quiet", "--orphan", "other")
        orphan = repository.signed("Another first", None)
        repository.git("replace", "--graft", orphan, accepted)
        (repository.path / ".git/info").mkdir(exist_ok=True)
        (repository.path / ".git/info/grafts").write_text(f"{orphan} {accepted}\n", "ascii")
        assert gate.code() == "RW735"

    def test_a_merge_needs_its_own_signature_and_not_that_of_what_it_merges(
        self, gate, repository, jane
    ):
        repository.signed("First", jane, signers=[jane])
        gate.take()
        repository.git("checkout", "--quiet", "-b", "topic")
        repository.signed("Topic, unsigned", None, image=IMAGE)
        repository.git("checkout", "--quiet", "main")
        repository.signed("Meanwhile", jane)
        repository.git("merge", "--quiet", "--no-ff", "--no-gpg-sign", "--message=M", "topic")
        assert gate.code() == "RW730"
        repository.commit_as(jane, "--amend", "--no-edit")
        assert gate.take() == "signed by jane"

    def test_who_was_removed_cannot_come_back_along_an_old_side_branch(
        self, gate, repository, jane, joe
    ):
        repository.signed("First", jane, signers=[jane, joe])
        # Jane signed this while Joe was still listed; it was never merged.
        repository.git("checkout", "--quiet", "-b", "side")
        repository.signed("Side", jane, image=IMAGE)
        repository.git("checkout", "--quiet", "main")
        repository.signed("No longer Joe", jane, signers=[jane])
        gate.take()
        repository.git("checkout", "--quiet", "side")
        options = [*joe.options, "merge", "--quiet", "--gpg-sign", "--strategy=ours"]
        repository.git(*options, "--message=Back", "main")
        assert "jane" in repository.git("show", "HEAD:fleet.yaml")
        assert gate.code() == "RW731"

    def test_a_lost_accepted_commit_refuses_all_others(self, gate, repository, tmp_path):
        repository.signed("First", None, signers=[])
        gate.take()
        other = SignedRepository(tmp_path / "other")
        other.signed("First elsewhere", None, signers=[])
        elsewhere = Gate(other.path, tmp_path / "cache", gate.admission._revisions)
        assert elsewhere.code() == "RW736"

    def test_files_outside_git_do_not_go_round_the_signers(self, gate, repository, tmp_path):

        (tmp_path / "plain").mkdir()
        (tmp_path / "plain/fleet.yaml").write_text(fleet_document([]), "utf-8")
        tree = read_worktree(tmp_path / "plain")
        policy = compile_commits(tree.files)
        assert policy is not None
        assert isinstance(gate.admission.judge(tree.own_commit, policy), Accept)
        repository.signed("First", None, signers=[])
        gate.take()
        decision = gate.admission.judge(tree.own_commit, policy)
        assert isinstance(decision, Refuse)
        assert decision.error.code == "RW739"

    def test_a_folder_of_a_repository_has_its_own_signers(
        self, repository, tmp_path, revisions, jane
    ):
        files = {"tokyo/fleet.yaml": fleet_document([jane]), "osaka/fleet.yaml": fleet_document([])}
        repository.write(files)
        repository.signed("First", jane)
        tokyo = Gate(repository.path / "tokyo", tmp_path / "cache", revisions)
        assert tokyo.take() == "signed by jane"
        repository.signed("Second", None)
        assert tokyo.code() == "RW730"

    def test_a_folder_that_was_gone_meanwhile_frees_nobody(
        self, repository, tmp_path, revisions, jane
    ):
        document = fleet_document([jane])
        repository.write({"tokyo/fleet.yaml": document})
        repository.signed("First", jane)
        tokyo = Gate(repository.path / "tokyo", tmp_path / "cache", revisions)
        tokyo.take()
        repository.git("rm", "--quiet", "-r", "tokyo")
        repository.signed("Gone", jane)
        repository.write({"tokyo/fleet.yaml": fleet_document([])})
        repository.signed("Back, without signers", None)
        assert tokyo.code() == "RW730"

    def test_the_copy_of_a_remote_repository_keeps_the_accepted_commit(
        self, repository, tmp_path, revisions
    ):

        url, cache = f"file://{repository.path}", tmp_path / "cache"
        accepted = repository.signed("First", None, signers=[])
        open_source(url, "main", cache=cache)
        gate = Gate(url, cache, revisions)
        gate.take("main")
        repository.commit_as(None, "--amend", "--allow-empty", "--message=Rewritten")
        open_source(url, "main", cache=cache)
        find_repository(gate.path).git._checked(["gc", "--quiet", "--prune=now"])
        assert gate.code("main") == "RW735"
        held = gate.admission.last_revision()
        assert held is not None
        assert held.commit.id == accepted


def test_accepted_revisions_cannot_be_changed_afterwards(gate, repository):

    repository.signed("First", None, signers=[])
    gate.take()
    database = gate.admission._revisions._database()
    for statement in ("UPDATE accepted_revision SET actor = 'x'", "DELETE FROM accepted_revision"):
        with pytest.raises(IntegrityError, match="append-only"), database.writing() as connection:
            connection.execute(text(statement))
