"""Files are checked as they are on the disk, in the place of what the commit has there."""

import os
from pathlib import Path

import pytest

from reconciler.compiled.cache import FleetCache
from reconciler.compiled.file_check import FileCheck, check_files, check_source, read_named
from reconciler.compiled.source import files_of_revision
from reconciler.errors import SourceError
from reconciler.git.revision import find_revision
from tests.unit.git_repository import GitRepository
from tests.unit.test_compiled_files import files_of, machine

ROWS = [(1, "site/a", "db", ""), (2, "site/c/d", "web", "")]


@pytest.fixture
def repository(git_repository: GitRepository) -> GitRepository:
    git_repository.commit("The fleet", files_of(ROWS))
    return git_repository


@pytest.fixture(params=["compiled before", "never compiled"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> FleetCache | None:
    if "never" in request.param:
        return None
    repository: GitRepository = request.getfixturevalue("repository")
    cache = FleetCache(tmp_path / "cache/fleet.db", "1")
    check_source(files_of_revision(find_revision(repository.path, "HEAD")), cache)
    return cache


def check(repository: GitRepository, cache: FleetCache | None, **texts: str) -> FileCheck:
    repository.write({f"{name}.yaml": text for name, text in texts.items()})
    paths = tuple(repository.path / f"{name}.yaml" for name in texts)
    revision = find_revision(repository.path, "HEAD")
    return check_files(files_of_revision(revision), read_named(repository.path, paths), cache)


def test_a_sound_file_has_no_problem(repository: GitRepository, cache: FleetCache | None) -> None:
    again = machine(1, "site/a", "web")
    new = machine(3, "site/a", "web")
    assert check(repository, cache, m1=again) == FileCheck((), 0)
    assert check(repository, cache, m1=again, new=new) == FileCheck((), 0)


def test_files_as_they_were_committed_have_the_problems_of_the_commit(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    unquoted = machine(9, "site/a", "db").replace(
        '{macs: ["52:54:00:00:00:09"]}', "\n    macs:\n      - 10:20:30:40:50:10"
    )
    repository.commit("One more", {"m9.yaml": unquoted})
    for more in ({}, {"m8": machine(8, "site/a", "web")}):
        found = check(repository, cache, m9=unquoted, **more)
        assert [(each.code, each.position.file) for each in found.diagnostics] == [
            ("RW115", "m9.yaml")
        ]
        assert found.elsewhere == 0


def test_a_link_is_no_file_as_it_was_committed(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    text = machine(9, "site/a", "db").replace("hardware", "hardwear")
    (repository.path / "link.yaml").symlink_to("m1.yaml")
    repository.commit("A link", {})
    (repository.path / "link.yaml").unlink()
    assert [each.code for each in check(repository, cache, link=text).diagnostics] == ["RW124"]


def test_a_mistake_is_named_with_its_place(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    found = check(repository, cache, m1=machine(1, "site/a", "db").replace("hardware", "hardwear"))
    assert [str(each).splitlines()[0] for each in found.diagnostics] == [
        'm1.yaml:6:3: RW124 spec: unknown field "hardwear"'
    ]


def test_what_another_file_has_already_is_seen(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    found = check(repository, cache, new=machine(1, "site/a", "db").replace("m1", "m9"))
    assert [each.code for each in found.diagnostics] == ["RW142", "RW142"]
    assert 'already used by machine "m1" at m1.yaml:6:21' in found.diagnostics[0].message


def test_a_mistake_that_shows_elsewhere_is_counted(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    found = check(repository, cache, new=machine(1, "site/a", "db").replace("m1", "a9"))
    assert found == FileCheck((), 2)


def test_a_change_to_a_group_reaches_its_machines(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    group = (repository.path / "site-a.yaml").read_text() + "  network: nowhere\n"
    found = check(repository, cache, **{"site-a": group})
    assert [each.code for each in found.diagnostics] == ["RW141"]


def test_a_committed_file_that_is_too_large_is_named(
    repository: GitRepository, cache: FleetCache | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("Too much", {"big.yaml": "# " + "x" * 5000})
    monkeypatch.setattr("reconciler.git.commit.MAX_FILE_BYTES", 4096)
    monkeypatch.setattr("reconciler.git.tree.MAX_FILE_BYTES", 4096)
    with pytest.raises(SourceError, match=r"RW714: big.yaml has 5,002 bytes"):
        check(repository, cache, m1=machine(1, "site/a", "web"))


def test_a_check_of_everything_counts_what_it_found(
    repository: GitRepository, cache: FleetCache | None
) -> None:
    source = files_of_revision(find_revision(repository.path, "HEAD"))
    for _ in range(2):
        checked = check_source(source, cache)
        assert (checked.valid, checked.machines, checked.scenarios) == (True, 3, 2)


class TestNamedFiles:
    def test_one_outside_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "fleet").mkdir()
        (tmp_path / "x.yaml").write_text("")
        with pytest.raises(SourceError, match=r"RW912: .*x.yaml is not in .*fleet"):
            read_named(tmp_path / "fleet", (tmp_path / "x.yaml",))

    def test_a_link_out_of_it_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "fleet").mkdir()
        (tmp_path / "fleet/x.yaml").symlink_to("/etc/hostname")
        with pytest.raises(SourceError, match="RW912"):
            read_named(tmp_path / "fleet", (tmp_path / "fleet/x.yaml",))

    def test_one_that_is_no_file_is_refused_without_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.yaml")
        with pytest.raises(SourceError, match=r"RW912: .*x.yaml is no file"):
            read_named(tmp_path, (tmp_path / "x.yaml",))

    def test_a_folder_is_answered_with_the_command_that_checks_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "my fleet"
        folder.mkdir()
        for top in (tmp_path, folder, tmp_path.parent):
            with pytest.raises(SourceError) as caught:
                read_named(top, (folder,))
            assert (caught.value.code, caught.value.cause, caught.value.action) == (
                "RW912",
                f"{folder} is a folder",
                f"`rackwright validate --repo '{folder}'` checks all of it",
            )

    def test_one_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"RW912: .*x.yaml cannot be read: No such file"):
            read_named(tmp_path, (tmp_path / "x.yaml",))
