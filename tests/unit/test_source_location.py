"""Opening what people name: paths, and URLs through a mirror."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.git.command import fetch_error, without_login
from reconciler.git.location import RemoteRepository, open_source, parse_location
from tests.unit.git_repository import GitRepository


class TestLocations:
    @pytest.mark.parametrize("text", [".", "/srv/fleet.git", "fleet", "a/b:c", "C", "./host:path"])
    def test_a_path_is_a_path(self, text: str) -> None:
        assert parse_location(text) == Path(text)

    @pytest.mark.parametrize(
        "text",
        [
            "https://git.example/fleet.git",
            "https://jane@git.example:8443/fleet",
            "ssh://git@git.example/fleet",
            "file:///srv/fleet.git",
            "git@git.example:infra/fleet.git",
            "git.example:fleet",
        ],
    )
    def test_a_url_is_a_repository(self, text: str) -> None:
        assert parse_location(text) == RemoteRepository(text)

    @pytest.mark.parametrize(
        "text",
        [
            "ext::sh -c touch% /tmp/x",
            "http://git.example/fleet",
            "git://git.example/fleet",
            "ftp://git.example/fleet",
            "fd::17",
            "-u://x",
            "https://[broken/fleet",
            "https://git.example/\x1b[2J",
        ],
    )
    def test_another_protocol_is_refused(self, text: str) -> None:
        with pytest.raises(SourceError) as caught:
            parse_location(text)
        assert str(caught.value) == (
            f"RW718: {text!r} cannot be a source."
            " Use a path, or a URL with https://, ssh:// or file://."
        )

    def test_a_password_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(SourceError) as caught:
            parse_location("https://jane:hunter2@git.example/fleet")
        assert str(caught.value) == (
            "RW718: the address of the repository on git.example has a password in it."
            " Leave it out and give it to git by a credential helper."
        )
        assert "hunter2" not in repr(caught.value)

    def test_mirrors_have_readable_names_of_their_own(self) -> None:
        one = RemoteRepository("https://git.example/infra/fleet.git").mirror_name
        two = RemoteRepository("https://git.example/infra-fleet.git").mirror_name
        assert one != two
        assert one.startswith("git-example-infra-fleet-git-")
        assert Path(one).name == one


class TestPaths:
    def test_a_directory_is_read_as_it_is(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.write({"a.yaml": "2"})
        tree = open_source(str(git_repository.path), None, cache=tmp_path / "cache")
        assert tree.files == {"a.yaml": b"2"}
        assert not (tmp_path / "cache").exists()

    def test_with_a_ref_it_is_read_at_a_commit(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.write({"a.yaml": "2"})
        tree = open_source(str(git_repository.path), "main", cache=tmp_path / "cache")
        assert tree.files == {"a.yaml": b"1"}

    def test_a_bare_repository_is_read_at_its_head(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        commit = git_repository.commit("One", {"a.yaml": "1"})
        git_repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
        tree = open_source(str(tmp_path / "bare.git"), None, cache=tmp_path / "cache")
        assert tree.revision == commit


class TestUrls:
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        return tmp_path / "cache"

    def test_it_is_read_at_the_other_sides_head(
        self, git_repository: GitRepository, cache: Path
    ) -> None:
        git_repository.git("checkout", "--quiet", "-b", "trunk")
        commit = git_repository.commit("One", {"a.yaml": "1"})
        git_repository.write({"a.yaml": "not committed"})
        tree = open_source(git_repository.path.as_uri(), None, cache=cache)
        assert (tree.revision, tree.files) == (commit, {"a.yaml": b"1"})

    def test_it_is_brought_up_to_date(self, git_repository: GitRepository, cache: Path) -> None:
        url = git_repository.path.as_uri()
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.git("branch", "old")
        assert open_source(url, "main", cache=cache).files == {"a.yaml": b"1"}
        git_repository.commit("Two", {"a.yaml": "2"})
        git_repository.git("branch", "--delete", "--force", "old")
        git_repository.git("branch", "old/new")
        assert open_source(url, "main", cache=cache).files == {"a.yaml": b"2"}
        assert open_source(url, None, cache=cache).files == {"a.yaml": b"2"}
        with pytest.raises(SourceError, match=r"RW713: .* has no 'old'"):
            open_source(url, "old", cache=cache)

    def test_a_rewritten_branch_is_followed(
        self, git_repository: GitRepository, cache: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        open_source(git_repository.path.as_uri(), None, cache=cache)
        git_repository.git("commit", "--quiet", "--amend", "--message=Uno")
        amended = git_repository.git("rev-parse", "HEAD")
        assert open_source(git_repository.path.as_uri(), "main", cache=cache).revision == amended

    def test_a_repository_of_the_other_object_format_is_read(
        self, tmp_path: Path, cache: Path
    ) -> None:
        repository = GitRepository(tmp_path / "other", "--object-format=sha256")
        first = repository.commit("One", {"a.yaml": "1"})
        assert open_source(repository.path.as_uri(), None, cache=cache).revision == first
        second = repository.commit("Two", {"a.yaml": "2"})
        assert open_source(repository.path.as_uri(), None, cache=cache).revision == second

    def test_a_first_fetch_that_fails_leaves_no_mirror(self, tmp_path: Path, cache: Path) -> None:
        url = (tmp_path / "later").as_uri()
        with pytest.raises(SourceError, match="RW717"):
            open_source(url, None, cache=cache)
        commit = GitRepository(tmp_path / "later").commit("One", {"a.yaml": "1"})
        assert open_source(url, None, cache=cache).revision == commit

    def test_processes_share_a_mirror(self, git_repository: GitRepository, cache: Path) -> None:
        commit = git_repository.commit("One", {"a.yaml": "1"})
        with ThreadPoolExecutor(4) as pool:
            trees = pool.map(
                lambda _: open_source(git_repository.path.as_uri(), None, cache=cache), range(4)
            )
            assert {tree.revision for tree in trees} == {commit}

    def test_a_repository_without_commit_is_refused(
        self, git_repository: GitRepository, cache: Path
    ) -> None:
        with pytest.raises(SourceError, match=r"RW712: .*Push a first commit"):
            open_source(git_repository.path.as_uri(), None, cache=cache)

    def test_a_repository_that_is_gone_is_named(
        self, git_repository: GitRepository, cache: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        url = git_repository.path.as_uri()
        open_source(url, None, cache=cache)
        git_repository.path.rename(git_repository.path.with_name("moved"))
        with pytest.raises(SourceError) as caught:
            open_source(url, None, cache=cache)
        assert caught.value.code == "RW717"
        assert caught.value.cause.startswith(f"{url} cannot be fetched: '{git_repository.path}'")
        assert caught.value.action.endswith(f"git ls-remote {url}")

    def test_a_submodule_is_not_fetched(self, git_repository: GitRepository, cache: Path) -> None:
        commit = git_repository.commit(
            "One", {".gitmodules": '[submodule "x"]\n\tpath = vendor\n\turl = ext::touch x\n'}
        )
        git_repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor")
        git_repository.git("commit", "--quiet", "--message=Submodule")
        with pytest.raises(SourceError, match="RW716: vendor is a Git submodule"):
            open_source(git_repository.path.as_uri(), None, cache=cache)

    def test_the_mirror_runs_no_hook_of_a_template(
        self,
        git_repository: GitRepository,
        cache: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        marker = tmp_path / "sprung"
        hook = tmp_path / "template/hooks/reference-transaction"
        hook.parent.mkdir(parents=True)
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
        git_repository.commit("One", {"a.yaml": "1"})
        monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
        open_source(git_repository.path.as_uri(), None, cache=cache)
        assert not marker.exists()

    def test_the_mirror_runs_no_hook_of_its_own(
        self, git_repository: GitRepository, cache: Path, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        url = git_repository.path.as_uri()
        open_source(url, None, cache=cache)
        marker = tmp_path / "sprung"
        hook = cache / RemoteRepository(url).mirror_name / "hooks/reference-transaction"
        hook.parent.mkdir()
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
        git_repository.commit("Two", {"a.yaml": "2"})
        assert open_source(url, None, cache=cache).files == {"a.yaml": b"2"}
        assert not marker.exists()

    def test_a_cache_that_cannot_be_written_is_named(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        (tmp_path / "file").touch()
        with pytest.raises(SourceError, match=r"RW719: .* cannot be written: Not a directory"):
            open_source(git_repository.path.as_uri(), None, cache=tmp_path / "file" / "cache")

    def test_a_hook_of_another_repository_may_call(
        self,
        git_repository: GitRepository,
        cache: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        commit = git_repository.commit("One", {"a.yaml": "1"})
        other = GitRepository(tmp_path / "other")
        monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
        assert open_source(git_repository.path.as_uri(), None, cache=cache).revision == commit
        monkeypatch.delenv("GIT_DIR")
        assert list(other.path.iterdir()) == [other.path / ".git"]
        assert other.git("for-each-ref") == ""


TOKEN = "ghp_0123456789abcdef"  # noqa: S105 - planted


@pytest.mark.parametrize(
    "text",
    [
        f"https://{TOKEN}@127.0.0.1:9/fleet.git",
        f"https://{TOKEN}:@127.0.0.1:9/fleet.git",
        f"https://{TOKEN}:{TOKEN}@127.0.0.1:9/fleet.git",
        f"http://{TOKEN}@127.0.0.1:9/fleet.git",
        f"https://{TOKEN}@127.0.0.1:9/@a/fleet.git",
    ],
)
def test_what_stands_before_the_at_sign_is_neither_shown_nor_a_name(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(text, None, cache=tmp_path)
    assert "127.0.0.1" in caught.value.cause
    assert TOKEN not in str(caught.value)
    for path in tmp_path.rglob("*"):
        assert TOKEN not in str(path)
        assert path.is_dir() or TOKEN not in path.read_text()


def test_words_of_git_are_shown_without_logins() -> None:
    said = f"fatal: unable to access 'https://{TOKEN}@h/f.git/': gone; see ssh://{TOKEN}@h/x"
    error = fetch_error(f"https://{TOKEN}@h/f.git", said)
    assert TOKEN not in f"{error} {error.action}"
    assert "unable to access 'https://h/f.git/': gone; see ssh://h/x" in error.cause
    assert without_login("git@git.example:infra/fleet.git") == "git@git.example:infra/fleet.git"


def test_one_repository_has_one_copy_whoever_fetches_it() -> None:
    one, other = (RemoteRepository(f"https://{who}h/f.git") for who in ("", f"{TOKEN}@"))
    assert one.mirror_name == other.mirror_name
