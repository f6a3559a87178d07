"""A revision is known by its tree before any of its files is read."""

import pytest

from reconciler.errors import SourceError
from reconciler.git.command import Change, parse_changes, parse_commit
from reconciler.git.repository import find_commit, find_repository
from reconciler.git.revision import find_revision
from tests.unit.git_repository import GitRepository

ONE, TWO = "1" * 40, "2" * 40
NOTHING = "0" * 40


def test_a_revision_is_the_folder_that_was_named(git_repository: GitRepository) -> None:
    git_repository.commit("one", {"a.yaml": "a", "deep/er/b.yaml": "b"})
    top = find_revision(git_repository.path, "HEAD")
    assert top.tree == git_repository.git("rev-parse", "HEAD^{tree}")
    assert dict(top.read().files) == {"a.yaml": b"a", "deep/er/b.yaml": b"b"}
    inner = find_revision(git_repository.path / "deep", "HEAD")
    assert inner.tree == git_repository.git("rev-parse", "HEAD:deep")
    assert dict(inner.read().files) == {"er/b.yaml": b"b"}


@pytest.mark.parametrize("inner", ["", "deep", "two\nlines"])
def test_the_commit_of_a_name_is_told_with_the_repository(
    git_repository: GitRepository, inner: str
) -> None:
    git_repository.commit("one", {"deep/er/b.yaml": "b", "two\nlines/c.yaml": "c"})
    commit = git_repository.git("rev-parse", "HEAD")
    place = git_repository.path / inner
    for ref in ("HEAD", "main", commit, commit[:9], "main@{0}"):
        found, known = find_commit(place, ref)
        assert found == find_repository(place)
        assert known == ("" if "\n" in inner else commit)
        assert find_revision(place, ref).commit.id == commit


@pytest.mark.parametrize(
    "ref",
    [
        "other..main",
        "other...main",
        "^main",
        "main^@",
        "gone",
        "HEAD:a.yaml",
        ":/one",
        "--all",
        "a\nb",
    ],
)
def test_a_name_that_is_no_single_commit_leaves_the_repository_as_it_is_found(
    git_repository: GitRepository, ref: str
) -> None:
    git_repository.git("checkout", "--quiet", "--orphan", "other")
    git_repository.commit("unrelated", {"a.yaml": "a"})
    git_repository.git("checkout", "--quiet", "--orphan", "main")
    git_repository.commit("one", {"a.yaml": "b"})
    assert find_commit(git_repository.path, ref) == (find_repository(git_repository.path), "")
    with pytest.raises(SourceError, match="RW713"):
        find_revision(git_repository.path, ref)


def test_a_folder_that_the_commit_lacks_is_named(git_repository: GitRepository) -> None:
    git_repository.commit("one", {"a.yaml": "a", "plain": "file"})
    (git_repository.path / "new").mkdir()
    with pytest.raises(SourceError, match=r"RW713: the commit .* has no folder new"):
        find_revision(git_repository.path / "new", "HEAD")


def test_files_are_listed_before_they_are_read(git_repository: GitRepository) -> None:
    git_repository.commit("one", {"a.yaml": "a", "b.csv": "b", "c.txt": "c", ".d.yaml": "d"})
    revision = find_revision(git_repository.path, "HEAD")
    blobs, has_links = revision.blobs()
    assert (sorted(blobs), has_links) == (["a.yaml", "b.csv"], False)
    assert revision.contents({"a.yaml": blobs["a.yaml"]}) == {"a.yaml": b"a"}
    (git_repository.path / "link.yaml").symlink_to("a.yaml")
    git_repository.commit("two", {})
    blobs, has_links = find_revision(git_repository.path, "HEAD").blobs()
    assert (blobs["link.yaml"], has_links) == (blobs["a.yaml"], True)


def test_what_changed_between_two_trees_is_told(git_repository: GitRepository) -> None:
    git_repository.commit("one", {"a.yaml": "a", "b.yaml": "b", "same.yaml": "s"})
    before = find_revision(git_repository.path, "HEAD")
    (git_repository.path / "b.yaml").unlink()
    git_repository.commit("two", {"a.yaml": "A", "c.yaml": "c"})
    after = find_revision(git_repository.path, "HEAD")
    changes = {each.path: each for each in after.git.changes(before.tree, after.tree)}
    assert sorted(changes) == ["a.yaml", "b.yaml", "c.yaml"]
    assert (changes["b.yaml"].after, changes["c.yaml"].before) == ("", "")


def test_a_tree_of_another_repository_is_an_error(git_repository: GitRepository) -> None:
    git_repository.commit("one", {"a.yaml": "a"})
    revision = find_revision(git_repository.path, "HEAD")
    with pytest.raises(SourceError, match="RW717"):
        list(revision.git.changes(ONE, revision.tree))


def test_changes_are_read_as_git_prints_them() -> None:
    output = (
        f":100644 120000 {ONE} {TWO} T\0odd\nname\0:100644 000000 {ONE} {NOTHING} D\0gone\0"
    ).encode()
    assert list(parse_changes(output)) == [
        Change("120000", ONE, TWO, "odd\nname"),
        Change("100644", ONE, "", "gone"),
    ]
    assert list(parse_changes(b"")) == []


@pytest.mark.parametrize("modes", ["120000 100644", "100644 120000", "160000 100644"])
def test_a_change_of_what_was_a_link_or_submodule_is_told_as_one_of_it(modes: str) -> None:
    (change,) = parse_changes(f":{modes} {ONE} {TWO} T\0a.yaml\0".encode())
    assert change.is_indirect
    (plain,) = parse_changes(f":100644 100755 {ONE} {TWO} M\0a.yaml\0".encode())
    assert not plain.is_indirect


@pytest.mark.parametrize("output", [b"x", b":100644 100644 1 2 M\0a\0", b"a\0", b"a\0b\0c"])
def test_what_is_no_list_of_changes_is_refused(output: bytes) -> None:
    with pytest.raises(SourceError, match="RW717"):
        list(parse_changes(output))


def test_only_the_tree_that_git_reads_names_a_commit() -> None:
    assert parse_commit(ONE, f"tree {ONE}\ntree {TWO}\n\n".encode()).tree == ONE
    assert parse_commit(ONE, f"parent {ONE}\ntree {TWO}\n\n".encode()).tree == ""
