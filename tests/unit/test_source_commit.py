"""Reading a commit: exactly its files, and nothing that a stranger put there runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.git.tree import SourceTree
from reconciler.git.worktree import read_worktree
from tests.unit.git_repository import GitRepository, read_commit


def refused(code: str, repository: Path, ref: str = "HEAD") -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_commit(repository, ref)
    assert caught.value.code == code, str(caught.value)
    return caught.value


class TestWhatIsRead:
    def test_yaml_and_csv_are_read_wherever_they_are(self, git_repository: GitRepository) -> None:
        git_repository.commit(
            "All",
            {
                "fleet.yaml": "a",
                "tokyo/row2/rack07.yml": "b",
                "tables/Machines.CSV": b"\xff\0\n",
                "README.md": "no",
                "yaml": "no",
                ".github/workflows/ci.yml": "no",
                "tokyo/.hidden.yaml": "no",
                "ends.with.yaml.txt": "no",
            },
        )
        assert read_commit(git_repository.path, "HEAD").files == {
            "fleet.yaml": b"a",
            "tokyo/row2/rack07.yml": b"b",
            "tables/Machines.CSV": b"\xff\0\n",
        }

    def test_the_working_tree_does_not_matter(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "committed"})
        git_repository.write({"a.yaml": "changed", "b.yaml": "new"})
        assert read_commit(git_repository.path, "HEAD").files == {"a.yaml": b"committed"}

    def test_the_revision_is_the_commit(self, git_repository: GitRepository) -> None:
        commit = git_repository.commit("Add rack 07", {"a.yaml": "a"})
        tree = read_commit(git_repository.path, "main")
        assert tree.revision == commit
        assert tree.describe == f"{commit[:12]} (Jane Doe, 2026-11-03 18:02 +0900): Add rack 07"
        assert tree.uncommitted == ()

    def test_blobs_have_gits_ids(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a", "b.yaml": "b", "c/again.yaml": "a"})
        tree = read_commit(git_repository.path, "HEAD")
        assert tree.blobs == {
            path: git_repository.git("hash-object", path)
            for path in ("a.yaml", "b.yaml", "c/again.yaml")
        }
        assert tree.files["c/again.yaml"] == b"a"

    def test_any_name_of_a_commit_will_do(self, git_repository: GitRepository) -> None:
        first = git_repository.commit("One", {"a.yaml": "1"})
        git_repository.git("tag", "--annotate", "--message=One", "v1")
        second = git_repository.commit("Two", {"a.yaml": "2"})
        git_repository.git("branch", "tokyo/next")
        read = {
            ref: read_commit(git_repository.path, ref).revision
            for ref in (first, first[:8], "v1", "HEAD~1", "HEAD", "tokyo/next", "refs/heads/main")
        }
        assert read == {
            first: first,
            first[:8]: first,
            "v1": first,
            "HEAD~1": first,
            "HEAD": second,
            "tokyo/next": second,
            "refs/heads/main": second,
        }

    def test_a_bare_repository_is_read_alike(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        git_repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
        assert read_commit(tmp_path / "bare.git", "main") == read_commit(
            git_repository.path, "main"
        )

    def test_a_folder_of_a_repository_is_a_tree_of_its_own(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"top.yaml": "t", "fleets/lab/a/b.yaml": "b"})
        tree = read_commit(git_repository.path / "fleets/lab", "HEAD")
        assert tree.files == {"a/b.yaml": b"b"}

    def test_a_linked_working_tree_has_its_own_head(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.git("worktree", "add", "--quiet", "-b", "next", str(tmp_path / "next"))
        second = git_repository.commit("Two", {"a.yaml": "2"})
        assert read_commit(git_repository.path, "HEAD").revision == second
        assert read_commit(tmp_path / "next", "HEAD").files == {"a.yaml": b"1"}

    def test_a_commit_without_such_files_is_an_empty_tree(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("Nothing", {})
        assert read_commit(git_repository.path, "HEAD").files == {}

    def test_a_repository_with_sha256_is_read_alike(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        del git_repository
        modern = GitRepository(tmp_path / "modern", "--object-format=sha256")
        commit = modern.commit("One", {"a.yaml": "a"})
        tree = read_commit(modern.path, "HEAD")
        assert (tree.revision, tree.files) == (commit, {"a.yaml": b"a"})
        assert tree.blobs == {"a.yaml": modern.git("hash-object", "a.yaml")}

    def test_the_whole_tree_is_read_wherever_the_process_is(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a", "sub/b.yaml": "b"})
        git_repository.git("config", "core.worktree", str(git_repository.path))
        monkeypatch.chdir(git_repository.path / "sub")
        assert set(read_commit(git_repository.path, "HEAD").files) == {"a.yaml", "sub/b.yaml"}

    def test_where_a_hook_runs_does_not_matter(
        self, git_repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        other = GitRepository(tmp_path / "other")
        monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
        assert read_commit(git_repository.path, "HEAD").files == {"a.yaml": b"a"}

    @pytest.mark.needs_root
    def test_a_repository_of_another_user_is_read(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        for path in (git_repository.path, *git_repository.path.rglob("*")):
            os.chown(path, 12345, 12345)
        with pytest.raises(AssertionError, match="dubious ownership"):
            git_repository.git("status")
        assert read_commit(git_repository.path, "HEAD").files == {"a.yaml": b"a"}


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["main", "main~0", "main^{commit}"])
    def test_a_name_that_a_branch_and_a_tag_have_is_refused(
        self, git_repository: GitRepository, name: str
    ) -> None:
        git_repository.commit("First", {"a.yaml": "1"})
        git_repository.git("tag", "main")
        second = git_repository.commit("Second", {"a.yaml": "2"})
        with pytest.raises(SourceError) as caught:
            read_commit(git_repository.path, name)
        assert "'main' is refs/heads/main and refs/tags/main" in caught.value.cause
        full = f"refs/heads/{name}"
        assert caught.value.action == f"Write the full name: {full}"
        assert read_commit(git_repository.path, full).revision == second
        assert read_commit(git_repository.path, "HEAD").revision == second

    def test_a_branch_that_is_called_like_a_commit_is_the_branch(
        self, git_repository: GitRepository
    ) -> None:
        first = git_repository.commit("First", {"a.yaml": "1"})
        second = git_repository.commit("Second", {"a.yaml": "2"})
        git_repository.git("branch", first[:8], second)
        assert read_commit(git_repository.path, first[:8]).revision == second

    def test_an_unknown_name_is_answered_with_the_nearest(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        git_repository.git("branch", "release-2026-10")
        git_repository.git("tag", "release-2026-09")
        error = refused("RW713", git_repository.path, "relase-2026-10")
        assert str(error) == (
            f"RW713: the repository {git_repository.path} has no 'relase-2026-10'."
            " Perhaps release-2026-10 or release-2026-09 is meant."
        )

    def test_a_name_like_none_is_answered_with_what_there_is(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        for number in range(6):
            git_repository.git("branch", f"b{number}")
        error = refused("RW713", git_repository.path, "0123456789")
        assert error.action == "Name a commit or one of b0, b1, b2, b3, b4 and 2 more"

    @pytest.mark.parametrize("ref", ["", "--help", "-h", "main\n", "HEAD:a.yaml", "main:", "\0"])
    def test_what_names_no_commit_is_unknown(self, git_repository: GitRepository, ref: str) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        assert repr(ref) in str(refused("RW713", git_repository.path, ref))

    def test_a_repository_without_commit_is_refused(self, git_repository: GitRepository) -> None:
        assert str(refused("RW712", git_repository.path)) == (
            f"RW712: the repository {git_repository.path} has no commit."
            " Commit the fleet's files first."
        )

    @pytest.mark.parametrize("ref", ["HEAD:a.yaml", "main^{tree}"])
    def test_what_is_no_commit_is_refused(self, git_repository: GitRepository, ref: str) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        assert str(refused("RW713", git_repository.path, ref)) == (
            f"RW713: {ref!r} leads to no commit that the repository {git_repository.path} holds."
            " Name a commit; where it is one, see what `git fsck` says about the repository."
        )

    def test_a_directory_without_repository_is_refused(self, tmp_path: Path) -> None:
        assert str(refused("RW711", tmp_path)) == (
            f"RW711: {tmp_path} is not a Git repository, nor in one."
            " Name a repository, or leave out --ref to read the files as they are."
        )

    def test_a_path_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        assert f"{tmp_path}/none does not exist" in str(refused("RW711", tmp_path / "none"))

    def test_a_repository_with_a_broken_configuration_is_refused(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        (git_repository.path / ".git/config").write_text("[core\n\0")
        with pytest.raises(SourceError):
            read_commit(git_repository.path, "HEAD")

    def test_a_file_that_is_too_large_is_named(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("tree", "commit"):
            monkeypatch.setattr(f"reconciler.git.{module}.MAX_FILE_BYTES", 500)
        git_repository.commit("Large", {"a.yaml": "a", "disk.img": "x" * 501})
        assert read_commit(git_repository.path, "HEAD").files == {"a.yaml": b"a"}
        git_repository.commit("Larger", {"site/dump.csv": "x" * 501})
        assert refused("RW714", git_repository.path).cause == (
            "site/dump.csv has 501 bytes, at most 500 are read of one file"
        )

    def test_too_much_in_many_files_is_refused(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.git.tree.MAX_TOTAL_BYTES", 3 << 20)
        git_repository.commit("Many", {f"{n}.yaml": bytes([n]) * 2**20 for n in range(4)})
        assert "more than 3 MiB" in str(refused("RW714", git_repository.path))

    def test_too_many_files_are_refused(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.git.tree.MAX_FILES", 3)
        git_repository.commit("Many", {f"{n}.yaml": "same" for n in range(4)})
        assert "more than 3 YAML and CSV files" in str(refused("RW714", git_repository.path))

    def test_a_few_objects_that_claim_ten_billion_files_are_refused(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.git.command.MAX_ENTRIES", 2_000)
        blob = git_repository.git("hash-object", "-w", "--stdin", standard_input="boo")
        lines = "".join(f"100644 blob {blob}\tf{n}\n" for n in range(10))
        for _ in range(9):
            tree = git_repository.git("mktree", standard_input=lines)
            lines = "".join(f"040000 tree {tree}\td{n}\n" for n in range(10))
        commit = git_repository.git("commit-tree", "-m", "Boom", tree)
        assert refused("RW714", git_repository.path, commit).cause.startswith("the tree has more")

    def test_a_submodule_is_refused(self, git_repository: GitRepository) -> None:
        commit = git_repository.commit("One", {"a.yaml": "a"})
        git_repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/base")
        git_repository.git("commit", "--quiet", "--message=Submodule")
        assert str(refused("RW716", git_repository.path)) == (
            "RW716: vendor/base is a Git submodule."
            " Put the files themselves into the repository: a revision must say all by itself."
        )

    def test_a_name_that_would_steer_a_terminal_is_refused(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("Odd", {"a\x1b[2J.yaml": "a"})
        assert r"the file name 'a\x1b[2J.yaml' has characters" in str(
            refused("RW715", git_repository.path)
        )

    def test_a_name_that_is_no_utf8_is_refused(self, git_repository: GitRepository) -> None:
        git_repository.commit("Odd", {os.fsdecode(b"\xff.yaml"): "a"})
        refused("RW715", git_repository.path)

    def test_a_missing_object_is_named(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        blob = git_repository.git("hash-object", "a.yaml")
        (git_repository.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
        assert str(refused("RW717", git_repository.path)) == (
            f"RW717: git cat-file failed: {blob} missing."
            " See what `git fsck` says about the repository."
        )

    def test_a_folder_that_is_missing_is_no_empty_folder(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a", "rack/b.yaml": "b"})
        folder = git_repository.git("rev-parse", "HEAD:rack")
        (git_repository.path / ".git/objects" / folder[:2] / folder[2:]).unlink()
        assert str(refused("RW717", git_repository.path)).startswith("RW717: git ls-tree failed: ")


class TestLinks:
    def linked(self, repository: GitRepository, link: str, target: str) -> None:
        (repository.path / link).symlink_to(target)

    def read(self, repository: GitRepository) -> SourceTree:
        return read_commit(repository.path, repository.commit("Links", {}))

    def test_a_link_reads_as_its_target(self, git_repository: GitRepository) -> None:
        git_repository.write({"tables/2026": "rows", "base/net.yaml": "net"})
        self.linked(git_repository, "current.csv", "tables/2026")
        self.linked(git_repository, "site", "base")
        self.linked(git_repository, "net.yaml", "site/net.yaml")
        tree = self.read(git_repository)
        assert tree.files == {
            "base/net.yaml": b"net",
            "current.csv": b"rows",
            "net.yaml": b"net",
        }
        assert tree.blobs["net.yaml"] == tree.blobs["base/net.yaml"]

    def test_a_link_out_of_the_tree_is_refused(self, git_repository: GitRepository) -> None:
        self.linked(git_repository, "a.yaml", "../../etc/passwd")
        with pytest.raises(SourceError, match=r"RW715: the symbolic link a\.yaml leads out"):
            self.read(git_repository)

    @pytest.mark.parametrize("target", ["none.yaml", ".git/config", "folder", "."])
    def test_a_link_to_no_file_of_the_tree_is_refused(
        self, git_repository: GitRepository, target: str
    ) -> None:
        git_repository.write({"folder/b.yaml": "b"})
        self.linked(git_repository, "a.yaml", target)
        with pytest.raises(SourceError) as caught:
            self.read(git_repository)
        assert str(caught.value) == (
            f"RW715: the symbolic link a.yaml leads to {target}, which is no file of the tree."
            " Mend or remove the link."
        )

    @pytest.mark.parametrize("name", ["result.txt", ".result"])
    def test_a_link_that_is_no_part_of_the_fleet_does_not_matter(
        self, git_repository: GitRepository, name: str
    ) -> None:
        self.linked(git_repository, name, "/nix/store/x")
        git_repository.write({"a.yaml": "a"})
        assert self.read(git_repository).files == {"a.yaml": b"a"}

    def test_a_link_that_may_be_a_folder_outside_is_refused(
        self, git_repository: GitRepository
    ) -> None:
        self.linked(git_repository, "more", "/srv/fleet")
        git_repository.write({"a.yaml": "a"})
        with pytest.raises(SourceError, match="RW715: the symbolic link more leads out of the"):
            self.read(git_repository)


class TestHostileRepositories:
    def test_nothing_that_it_names_is_run(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        trap, marker = tmp_path / "trap", tmp_path / "sprung"
        trap.write_text(f"#!/bin/sh\necho $0 $@ >> {marker}\n")
        trap.chmod(0o755)
        git_repository.commit("One", {"a.yaml": "a", ".gitattributes": "* filter=x diff=x\n"})
        blob = git_repository.git("hash-object", "a.yaml")
        for hook in ("post-checkout", "reference-transaction", "post-index-change"):
            path = git_repository.path / ".git/hooks" / hook
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(trap)
        for key in (
            "core.fsmonitor",
            "core.pager",
            "core.sshCommand",
            "core.gitProxy",
            "core.askPass",
            "core.alternateRefsCommand",
            "credential.helper",
            "diff.external",
            "diff.x.textconv",
            "filter.x.clean",
            "filter.x.smudge",
            "filter.x.process",
            "gpg.program",
            "remote.origin.uploadpack",
            "uploadpack.packObjectsHook",
        ):
            git_repository.git("config", key, str(trap))
        git_repository.git("config", "log.showSignature", "true")
        # A partial clone fetches what it lacks, from wherever it says, by the program it says.
        git_repository.git("config", "extensions.partialClone", "origin")
        git_repository.git("config", "core.repositoryFormatVersion", "1")
        git_repository.git("config", "remote.origin.promisor", "true")
        git_repository.git("config", "remote.origin.url", str(git_repository.path))
        marker.unlink(missing_ok=True)
        assert read_commit(git_repository.path, "HEAD").files == {"a.yaml": b"a"}
        (git_repository.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
        refused("RW717", git_repository.path)
        assert not marker.exists(), marker.read_text()

    def test_a_replaced_object_does_not_change_a_commit(
        self, git_repository: GitRepository
    ) -> None:
        commit = git_repository.commit("One", {"a.yaml": "true"})
        git_repository.commit("Two", {"a.yaml": "false"})
        git_repository.git("replace", commit, "HEAD")
        assert read_commit(git_repository.path, commit).files == {"a.yaml": b"true"}


class TestWithoutGit:
    def test_a_git_that_is_gone_is_named(
        self, git_repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        monkeypatch.setenv("PATH", str(tmp_path))
        assert str(refused("RW710", git_repository.path)) == (
            "RW710: the program git is not installed. Install it, on Debian with: apt install git."
        )

    def test_a_git_that_never_was_is_named(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        program = (
            "import sys; from pathlib import Path;"
            "from reconciler.errors import SourceError\n"
            "from reconciler.git.revision import find_revision\n"
            "try: find_revision(Path(sys.argv[1]), 'HEAD')\n"
            "except SourceError as error: print(error.code)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, git_repository.path],
            env={"PATH": "/nonexistent", "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "RW710\n"


def test_a_file_is_no_folder_of_a_commit(git_repository: GitRepository) -> None:
    git_repository.commit("One", {"a.yaml": "a"})
    assert "has no folder a.yaml" in str(refused("RW713", git_repository.path / "a.yaml"))


def test_a_folder_that_the_commit_does_not_have_is_refused_by_name(
    git_repository: GitRepository,
) -> None:
    commit = git_repository.commit("Before the fleet", {"other.yaml": "a"})
    git_repository.write({"fleet/new.yaml": "b"})
    error = refused("RW713", git_repository.path / "fleet")
    assert error.cause == f"the commit {commit[:12]} has no folder fleet"


def test_a_folder_that_was_never_committed_reads_as_uncommitted_files(
    git_repository: GitRepository,
) -> None:
    git_repository.commit("Before the fleet", {"other.yaml": "a"})
    git_repository.write({"fleet/new.yaml": "b"})
    tree = read_worktree(git_repository.path / "fleet")
    assert tree.files == {"new.yaml": b"b"}
    assert tree.uncommitted == ("new.yaml",)
