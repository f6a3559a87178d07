"""Reading files as they are on a disk."""

import os
import shutil
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.git import worktree
from reconciler.git.worktree import read_worktree, uncommitted_files
from tests.unit.git_repository import GitRepository, read_commit


def refused(code: str, directory: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_worktree(directory)
    assert caught.value.code == code, str(caught.value)
    return caught.value


def write(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")


class TestOutsideGit:
    def test_yaml_and_csv_are_read_wherever_they_are(self, tmp_path: Path) -> None:
        write(tmp_path, "fleet.yaml", "a/b/c.yml", "t.CSV", "x.txt", "a/.git/x.yaml", ".b/x.yaml")
        tree = read_worktree(tmp_path)
        assert tree.files == {
            "a/b/c.yml": b"content of a/b/c.yml",
            "fleet.yaml": b"content of fleet.yaml",
            "t.CSV": b"content of t.CSV",
        }
        assert tree.describe == "files outside Git (3)"

    def test_the_order_of_files_is_that_of_their_names(self, tmp_path: Path) -> None:
        write(tmp_path, "b.yaml", "a/z.yaml", "a.yaml", "B.yaml")
        assert list(read_worktree(tmp_path).files) == ["B.yaml", "a.yaml", "a/z.yaml", "b.yaml"]

    def test_the_revision_is_made_from_names_and_contents(self, tmp_path: Path) -> None:
        write(tmp_path, "one/a.yaml", "one/b.yaml")
        write(tmp_path, "two/b.yaml", "two/a.yaml")
        (tmp_path / "one/a.yaml").write_text("a")
        (tmp_path / "one/b.yaml").write_text("b")
        (tmp_path / "two/a.yaml").write_text("a")
        (tmp_path / "two/b.yaml").write_text("b")
        one = read_worktree(tmp_path / "one").revision
        assert one == read_worktree(tmp_path / "two").revision
        assert one.startswith("worktree:")
        assert len(one) == len("worktree:") + 64
        (tmp_path / "two/b.yaml").rename(tmp_path / "two/c.yaml")
        assert read_worktree(tmp_path / "two").revision != one
        (tmp_path / "one/a.yaml").write_text("A")
        assert read_worktree(tmp_path / "one").revision != one

    def test_git_need_not_be_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, "a.yaml")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert set(read_worktree(tmp_path).files) == {"a.yaml"}

    @pytest.mark.parametrize("damage", ["HEAD", "objects", "config"])
    def test_files_in_a_damaged_repository_are_of_no_commit_that_is_known(
        self, git_repository: GitRepository, damage: str
    ) -> None:
        git_repository.commit("One", {"sub/a.yaml": "a"})
        place = git_repository.path / ".git" / damage
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.write_text("[[[")
        assert refused("RW717", git_repository.path / "sub")

    def test_a_file_that_names_a_repository_which_is_gone_is_a_damaged_one(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / ".git").write_text("gitdir: /nowhere\n")
        assert str(refused("RW717", tmp_path)) == (
            f"RW717: {tmp_path}/.git is not a sound Git repository."
            " See what `git fsck` says, or clone the repository again."
        )

    def test_an_empty_directory_is_an_empty_tree(self, tmp_path: Path) -> None:
        assert read_worktree(tmp_path).files == {}

    @pytest.mark.parametrize("name", ["none", "file.yaml"])
    def test_what_is_no_directory_is_refused(self, tmp_path: Path, name: str) -> None:
        write(tmp_path, "file.yaml")
        assert str(refused("RW711", tmp_path / name)) == (
            f"RW711: {tmp_path / name} is not a directory."
            " Name the folder that describes the fleet."
        )

    def test_a_folder_that_is_called_like_a_file_is_a_folder(self, tmp_path: Path) -> None:
        write(tmp_path, "rack.yaml/a.yaml")
        assert set(read_worktree(tmp_path).files) == {"rack.yaml/a.yaml"}

    def test_a_fifo_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.yaml")
        assert refused("RW719", tmp_path).cause == "a.yaml is not a regular file"

    def test_a_file_that_is_too_large_is_refused_unread(self, tmp_path: Path) -> None:
        with (tmp_path / "a.csv").open("wb") as file:
            file.truncate(2**40)
        assert f"a.csv has {2**40:,} bytes" in str(refused("RW714", tmp_path))

    def test_too_many_files_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.git.tree.MAX_FILES", 2)
        write(tmp_path, "a.yaml", "b.yaml", "c.yaml")
        refused("RW714", tmp_path)

    def test_a_directory_without_end_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worktree, "MAX_ENTRIES", 2)
        write(tmp_path, "a.txt", "b.txt", "c.txt")
        refused("RW714", tmp_path)

    def test_folders_of_tools_are_not_walked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worktree, "MAX_ENTRIES", 2)
        write(tmp_path, "a.yaml", ".cache/a", ".cache/b", ".cache/c")
        assert set(read_worktree(tmp_path).files) == {"a.yaml"}

    def test_a_name_that_would_steer_a_terminal_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path, "a\nb.yaml")
        assert r"'a\nb.yaml'" in str(refused("RW715", tmp_path))


class TestLinks:
    def test_a_link_reads_as_its_target(self, tmp_path: Path) -> None:
        write(tmp_path, "tables/2026", "base/net.yaml")
        (tmp_path / "now.csv").symlink_to("tables/2026")
        (tmp_path / "site").symlink_to("base")
        (tmp_path / "net.yaml").symlink_to("site/net.yaml")
        files = read_worktree(tmp_path).files
        assert set(files) == {"base/net.yaml", "net.yaml", "now.csv"}
        assert files["net.yaml"] == files["base/net.yaml"]
        assert files["now.csv"] == b"content of tables/2026"

    @pytest.mark.parametrize("target", ["../secret.yaml", "/etc/passwd", ".up/secret.yaml"])
    def test_a_link_out_of_the_tree_is_refused(self, tmp_path: Path, target: str) -> None:
        write(tmp_path, "secret.yaml", "fleet/a.yaml")
        (tmp_path / "fleet/.up").symlink_to("..")
        (tmp_path / "fleet/b.yaml").symlink_to(target)
        assert "b.yaml leads out of the tree" in str(refused("RW715", tmp_path / "fleet"))

    @pytest.mark.parametrize("target", ["none.yaml", "sub/.git/config", "folder"])
    def test_a_link_to_no_file_of_the_tree_is_refused(self, tmp_path: Path, target: str) -> None:
        write(tmp_path, "sub/.git/config", "folder/a.yaml")
        (tmp_path / "b.yaml").symlink_to(target)
        assert f"b.yaml leads to {target}, which is no" in str(refused("RW715", tmp_path))

    def test_a_circle_of_links_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").symlink_to("b.yaml")
        (tmp_path / "b.yaml").symlink_to("a.yaml")
        assert "leads in a circle" in str(refused("RW715", tmp_path))

    @pytest.mark.parametrize("target", ["../other", "/srv/fleet"])
    def test_a_linked_folder_that_would_not_be_read_is_refused(
        self, tmp_path: Path, target: str
    ) -> None:
        write(tmp_path, "other/a.yaml", "fleet/b.yaml")
        (tmp_path / "fleet/more").symlink_to(target)
        assert "the symbolic link more leads out of the tree" in str(
            refused("RW715", tmp_path / "fleet")
        )

    def test_a_link_to_a_hidden_folder_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path, ".shared/a.yaml", "b.yaml")
        (tmp_path / "shared").symlink_to(".shared")
        assert "leads to .shared, which is hidden and not read" in str(refused("RW715", tmp_path))

    def test_a_linked_folder_is_not_read_twice(self, tmp_path: Path) -> None:
        write(tmp_path, "base/net.yaml")
        (tmp_path / "again").symlink_to("base")
        (tmp_path / "base/top").symlink_to("..")
        assert set(read_worktree(tmp_path).files) == {"base/net.yaml"}


class TestInGit:
    def test_a_clean_tree_reads_as_its_commit(self, git_repository: GitRepository) -> None:
        (git_repository.path / "link.yaml").symlink_to("sub/b.yaml")
        commit = git_repository.commit("Add rack 07", {"a.yaml": "a", "sub/b.yaml": "b"})
        tree = read_worktree(git_repository.path)
        committed = read_commit(git_repository.path, "HEAD")
        assert (tree.files, tree.blobs) == (committed.files, committed.blobs)
        assert tree.commit == committed.commit
        assert tree.uncommitted == ()
        assert tree.describe == (
            f"working tree, clean, at {commit[:12]} (Jane Doe, 2026-11-03 18:02 +0900): Add rack 07"
        )

    def test_what_is_not_committed_is_named(self, git_repository: GitRepository) -> None:
        commit = git_repository.commit(
            "One", {"same.yaml": "s", "gone.yaml": "g", "changed.yaml": "c", "staged.yaml": "s"}
        )
        (git_repository.path / "gone.yaml").unlink()
        git_repository.write({"changed.yaml": "C", "new.yaml": "n", "staged.yaml": "S"})
        git_repository.git("add", "staged.yaml")
        tree = read_worktree(git_repository.path)
        assert tree.uncommitted == ("changed.yaml", "gone.yaml", "new.yaml", "staged.yaml")
        assert set(tree.files) == {"same.yaml", "changed.yaml", "new.yaml", "staged.yaml"}
        assert tree.describe == (
            "working tree, 4 uncommitted (changed.yaml, gone.yaml, new.yaml and 1 more) on"
            f" {commit[:12]} (Jane Doe, 2026-11-03 18:02 +0900): One"
        )

    def test_files_that_a_sparse_checkout_leaves_out_are_read(
        self, git_repository: GitRepository
    ) -> None:
        files = {"a.yaml": "a", "sub/b.yaml": "b", "sub/c.csv": "c"}
        git_repository.commit("All", files)
        git_repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/sub/")
        assert not (git_repository.path / "sub").exists()
        tree = read_worktree(git_repository.path)
        assert tree.files == {path: text.encode() for path, text in files.items()}
        assert tree.uncommitted == ()

    @pytest.mark.parametrize(
        ("attributes", "encoded"),
        [
            ("*.yaml text eol=crlf\n", b"a: 1\r\nb: 2\r\n"),
            ("*.yaml working-tree-encoding=UTF-16 eol=lf\n", "a: 1\nb: 2\n".encode("utf-16")),
        ],
        ids=["line ends", "encoding"],
    )
    def test_what_git_converts_is_read_as_it_is_committed(
        self, git_repository: GitRepository, attributes: str, encoded: bytes
    ) -> None:
        committed = b"a: 1\nb: 2\n"
        git_repository.commit("Plain", {"sub/a.yaml": committed})
        git_repository.write({".gitattributes": attributes, "sub/a.yaml": encoded})
        git_repository.git("add", ".gitattributes", "sub/a.yaml")
        for folder in ("", "sub"):
            tree = read_worktree(git_repository.path / folder)
            assert list(tree.files.values()) == [committed]
            assert tree.uncommitted == ()
        git_repository.write({"sub/a.yaml": encoded[:-2]})
        assert read_worktree(git_repository.path).uncommitted == ("sub/a.yaml",)

    def test_a_pointer_of_lfs_is_named(self, git_repository: GitRepository) -> None:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 3\n"
        git_repository.commit("Large", {"a.yaml": "a", "machines.csv": pointer})
        said = "machines.csv is a pointer of Git LFS"
        assert said in str(refused("RW715", git_repository.path))
        with pytest.raises(SourceError, match=said):
            read_commit(git_repository.path, "HEAD")

    def test_what_git_ignores_is_left_out(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {".gitignore": "build/\n*.local.yaml\n", "a.yaml": "a"})
        git_repository.write({"build/b.yaml": "b", "me.local.yaml": "m"})
        assert set(read_worktree(git_repository.path).files) == {"a.yaml"}

    def test_an_ignored_folder_is_read_when_it_is_named(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {".gitignore": "build/\n"})
        git_repository.write({"build/fleet/a.yaml": "a"})
        tree = read_worktree(git_repository.path / "build/fleet")
        assert tree.files == {"a.yaml": b"a"}
        assert tree.commit is None

    def test_a_folder_of_a_repository_is_a_tree_of_its_own(
        self, git_repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git_repository.commit("One", {"top.yaml": "t", "examples/lab/a.yaml": "a"})
        git_repository.write({"examples/lab/sub/n.yaml": "n", "other.yaml": "o"})
        monkeypatch.chdir(git_repository.path / "examples")
        tree = read_worktree(Path("lab"))
        assert tree.files == {"a.yaml": b"a", "sub/n.yaml": b"n"}
        assert tree.uncommitted == ("sub/n.yaml",)

    def test_before_the_first_commit_files_are_read_all_the_same(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.write({"a.yaml": "a"})
        tree = read_worktree(git_repository.path)
        assert (tree.files, tree.commit) == ({"a.yaml": b"a"}, None)

    def test_the_folder_that_is_named_is_read_whatever_is_configured(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        (tmp_path / "elsewhere").mkdir()
        git_repository.git("config", "core.worktree", str(tmp_path / "elsewhere"))
        assert read_worktree(git_repository.path).files == {"a.yaml": b"a"}

    def test_a_submodule_is_refused_while_it_is_there(self, git_repository: GitRepository) -> None:
        commit = git_repository.commit("One", {"a.yaml": "a"})
        git_repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor")
        git_repository.git("commit", "--quiet", "--message=Submodule")
        assert set(read_worktree(git_repository.path).files) == {"a.yaml"}
        (git_repository.path / "vendor").mkdir()
        assert "vendor is a Git submodule" in str(refused("RW716", git_repository.path))

    def test_a_repository_inside_is_none_of_its_files(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a"})
        inner = GitRepository(git_repository.path / "inner.yaml")
        inner.commit("Inner", {"b.yaml": "b"})
        assert set(read_worktree(git_repository.path).files) == {"a.yaml"}

    def test_a_sha256_repository_has_sha256_blobs(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        del git_repository
        modern = GitRepository(tmp_path / "modern", "--object-format=sha256")
        modern.commit("One", {"a.yaml": "a"})
        tree = read_worktree(modern.path)
        assert tree.blobs == {"a.yaml": modern.git("hash-object", "a.yaml")}
        assert tree.uncommitted == ()

    def test_nothing_that_a_repository_names_is_run(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        trap, marker = tmp_path / "trap", tmp_path / "sprung"
        trap.write_text(f"#!/bin/sh\necho $0 $@ >> {marker}\n")
        trap.chmod(0o755)
        git_repository.commit("One", {"a.yaml": "a", ".gitattributes": "* filter=x\n"})
        hook = git_repository.path / ".git/hooks/post-index-change"
        hook.parent.mkdir(exist_ok=True)
        hook.symlink_to(trap)
        for key in ("core.fsmonitor", "filter.x.clean", "filter.x.process", "core.pager"):
            git_repository.git("config", key, str(trap))
        marker.unlink(missing_ok=True)
        git_repository.write({"a.yaml": "b"})
        assert read_worktree(git_repository.path).uncommitted == ("a.yaml",)
        assert not marker.exists(), marker.read_text()


class TestUncommittedFiles:
    def test_they_are_named(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a", "b.yaml": "b"})
        assert uncommitted_files(git_repository.path, 9) == ()
        git_repository.write({"a.yaml": "A", "c.yaml": "c", "notes.txt": "n"})
        assert uncommitted_files(git_repository.path, 9) == ("a.yaml", "c.yaml")

    def test_too_many_files_are_not_read(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "a", "b.yaml": "b"})
        git_repository.write({"a.yaml": "A"})
        assert uncommitted_files(git_repository.path, 1) == ()

    def test_without_a_commit_there_are_none(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.write({"a.yaml": "A"})
        assert uncommitted_files(git_repository.path, 9) == ()
        assert uncommitted_files(tmp_path / "absent", 9) == ()


class TestChangesWhileReading:
    def test_a_tree_that_never_existed_is_not_returned(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, "a.yaml", "b.yaml")
        moves = iter([("b.yaml", "c.yaml")])
        read = worktree._read

        def read_with_a_move_in_between(top: Path, path: str) -> worktree._File | None:
            result = read(top, path)
            for source, target in moves:
                (top / source).rename(top / target)
            return result

        monkeypatch.setattr(worktree, "_read", read_with_a_move_in_between)
        assert set(read_worktree(tmp_path).files) == {"a.yaml", "c.yaml"}

    def test_files_that_never_hold_still_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, "a.yaml")
        read = worktree._read

        def read_and_append(top: Path, path: str) -> worktree._File | None:
            result = read(top, path)
            with (top / path).open("a") as file:
                file.write("more")
            return result

        monkeypatch.setattr(worktree, "_read", read_and_append)
        assert str(refused("RW719", tmp_path)) == (
            f"RW719: the files in {tmp_path} changed each of the 5 times that they were read."
            " Wait for what writes them, or name a commit with --ref."
        )
