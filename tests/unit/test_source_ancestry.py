"""What commits say of signers is read without reading a large fleet."""

import pytest

from reconciler.git.ancestry import RevisionReader, nothing_known
from reconciler.git.command import GitCommand
from reconciler.git.repository import find_repository
from specs.fleet import CompiledCommits

HEAD = "apiVersion: rackwright/v1alpha1\n"
FLEET = f"{HEAD}kind: Fleet\nmetadata: {{name: lab}}\n"
IMAGE = f"{HEAD}kind: Image\nmetadata: {{name: golden}}\n"


@pytest.fixture
def read_blobs(monkeypatch):
    """Collect the contents that are read of files."""
    seen = []
    objects = GitCommand.objects

    def noting(self, ids, largest):
        for blob, content in objects(self, ids, largest):
            if content.startswith(b"api"):
                seen.append(content.decode())
            yield blob, content

    monkeypatch.setattr(GitCommand, "objects", noting)
    return seen


def reader(repository, known=nothing_known):
    return RevisionReader(find_repository(repository.path), known)


def commits_of(repository, *changes):
    return [repository.commit(f"Change {n}", files) for n, files in enumerate(changes)]


def test_a_fleet_that_was_compiled_before_is_not_read(git_repository, read_blobs) -> None:
    first, second = commits_of(git_repository, {"a.yaml": FLEET}, {"b.yaml": IMAGE})
    policy = CompiledCommits(verify="ssh")
    asked = []

    def known(tree):
        asked.append(tree)
        return policy if len(asked) == 1 else None

    ancestry = reader(git_repository, known).trace(first, second)
    assert ancestry.accepted.policy is policy
    assert asked == [ancestry.accepted.commit.tree]
    assert read_blobs == []


def test_commits_in_between_are_read_by_what_they_change(git_repository, read_blobs) -> None:
    changed = IMAGE.replace("golden", "silver")
    commits = commits_of(
        git_repository,
        {"fleet.yaml": FLEET, "image.yaml": IMAGE, "other.yaml": IMAGE.replace("golden", "x")},
        {"image.yaml": changed},
        {"image.yaml": IMAGE},
    )
    ancestry = reader(git_repository, lambda _tree: None).trace(commits[0], commits[2])
    assert [each.policy for each in ancestry.between] == [ancestry.accepted.policy]
    assert read_blobs.count(FLEET) == 1
    assert sorted(set(read_blobs[3:])) == sorted({IMAGE, changed})


@pytest.mark.parametrize(
    "change",
    [
        {"fleet.yaml": FLEET.replace("lab", "lab2") + "spec: {commits: {verify: none}}\n"},
        {"fleet.yaml": IMAGE},
        {"other.yaml": FLEET},
        {"other.yaml": '---\n{"apiVersion": "rackwright/v1alpha1", "kind": "F\\u006ceet"}\n'},
    ],
    ids=["changed", "gone", "written twice", "written with an escape"],
)
def test_a_change_of_a_fleet_document_is_read_as_a_whole(git_repository, change) -> None:
    first, second, last = commits_of(
        git_repository, {"fleet.yaml": FLEET, "x.yaml": IMAGE}, change, {"y.yaml": IMAGE}
    )
    (between,) = reader(git_repository).trace(first, last).between
    assert between == reader(git_repository).read(second)


def test_a_commit_after_one_that_cannot_be_read_is_read_as_a_whole(git_repository) -> None:
    first, broken, mended, last = commits_of(
        git_repository,
        {"fleet.yaml": FLEET},
        {"fleet.yaml": FLEET + "spec: {commits: {verify: ssh}}\n", "x.yaml": IMAGE},
        {"fleet.yaml": FLEET},
        {"x.yaml": IMAGE},
    )
    del last
    between = reader(git_repository).trace(first, git_repository.git("rev-parse", "HEAD")).between
    assert [each.commit.id for each in between] == [broken, mended]
    assert between[0].policy is None
    assert between[1].policy == CompiledCommits()


def test_a_fleet_document_behind_a_link_is_read_where_it_changes(git_repository) -> None:
    (git_repository.path / "fleet.yaml").symlink_to("fleet.txt")
    ours = "spec: {budgets: {destructive: {atOnce: 1}}}\n"
    wrong = FLEET + "spec: {commits: {verify: ssh}}\n"
    first, second, last = commits_of(
        git_repository, {"fleet.txt": FLEET + ours}, {"fleet.txt": wrong}, {"x.yaml": IMAGE}
    )
    (between,) = reader(git_repository).trace(first, last).between
    assert reader(git_repository).read(first).policy == CompiledCommits()
    assert between == reader(git_repository).read(second)
    assert between.policy is None


def test_a_link_that_becomes_a_file_is_read_as_a_whole(git_repository) -> None:
    link = git_repository.path / "fleet.yaml"
    link.symlink_to("fleet.txt")
    first = git_repository.commit("One", {"fleet.txt": FLEET, "base.yaml": IMAGE})
    link.unlink()
    second = git_repository.commit("Two", {"fleet.yaml": IMAGE.replace("golden", "silver")})
    remembered = iter([CompiledCommits(verify="ssh")])
    revisions = reader(git_repository, lambda _tree: next(remembered, None))
    assert revisions.read(first).policy == CompiledCommits(verify="ssh")
    assert revisions.read(second).policy == reader(git_repository).read(second).policy


def test_a_folder_of_a_repository_is_read_for_itself(git_repository, read_blobs) -> None:
    first, second = commits_of(
        git_repository,
        {"fleet/a.yaml": FLEET, "elsewhere/a.yaml": IMAGE},
        {"elsewhere/a.yaml": FLEET},
    )
    folder = RevisionReader(find_repository(git_repository.path / "fleet"))
    assert folder.read(first).policy == folder.read(second).policy == CompiledCommits()
    assert read_blobs == [FLEET]
