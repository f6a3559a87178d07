"""A watch tells of every change, once, and survives what cannot be read."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.git import watch as watching
from reconciler.git.tree import SourceTree
from reconciler.git.watch import SourceState, watch
from tests.unit.git_repository import GitRepository

pytestmark = pytest.mark.timeout(20)

Next = Callable[[], "asyncio.Future[SourceState]"]


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_RESTART_SECONDS", 0.05)
    monkeypatch.setattr(watching, "_QUIET_MILLISECONDS", 50)


@asynccontextmanager
async def watched(directory: Path, ref: str | None = None) -> AsyncIterator[Next]:
    """Give a function that waits for the next thing that the watch tells."""
    stop = asyncio.Event()
    sights = watch(directory, stop, ref)

    def following() -> "asyncio.Future[SourceState]":
        return asyncio.ensure_future(anext(sights))

    try:
        yield following
    finally:
        stop.set()
        assert [sight async for sight in sights] == []


def files(sight: SourceState) -> dict[str, bytes]:
    assert isinstance(sight, SourceTree), sight
    return dict(sight.files)


class TestFiles:
    async def test_the_tree_comes_first_and_then_each_change(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("1")
        async with watched(tmp_path) as following:
            assert files(await following()) == {"a.yaml": b"1"}
            change = following()
            (tmp_path / "a.yaml").write_text("2")
            assert files(await change) == {"a.yaml": b"2"}
            change = following()
            (tmp_path / "sub").mkdir()
            (tmp_path / "sub/b.yaml").write_text("b")
            assert files(await change) == {"a.yaml": b"2", "sub/b.yaml": b"b"}
            change = following()
            shutil.rmtree(tmp_path / "sub")
            assert files(await change) == {"a.yaml": b"2"}

    async def test_a_change_between_two_looks_is_not_lost(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("1")
        async with watched(tmp_path) as following:
            await following()
            (tmp_path / "a.yaml").write_text("2")  # while nobody waits
            assert files(await following()) == {"a.yaml": b"2"}

    async def test_what_changes_nothing_is_not_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("1")
        async with watched(tmp_path) as following:
            await following()
            change = following()
            (tmp_path / "notes.txt").write_text("x")
            (tmp_path / "a.yaml").write_text("1")
            (tmp_path / ".a.yaml.swp").write_text("x")
            done, _ = await asyncio.wait([change], timeout=0.3)
            assert not done
            (tmp_path / "a.yaml").write_text("2")
            assert files(await change) == {"a.yaml": b"2"}

    async def test_an_error_is_told_once_and_its_end_too(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("1")
        async with watched(tmp_path) as following:
            await following()
            change = following()
            (tmp_path / "b.yaml").symlink_to("/etc/passwd")
            error = await change
            assert isinstance(error, SourceError)
            assert error.code == "RW715"
            change = following()
            (tmp_path / "c.txt").write_text("the error stays")
            (tmp_path / "b.yaml").unlink()
            assert files(await change) == {"a.yaml": b"1"}

    async def test_a_directory_that_is_replaced_is_watched_again(self, tmp_path: Path) -> None:
        fleet = tmp_path / "fleet"
        fleet.mkdir()
        (fleet / "a.yaml").write_text("1")
        async with watched(fleet) as following:
            await following()
            change = following()
            shutil.rmtree(fleet)
            error = await change
            assert isinstance(error, SourceError)
            assert error.code in {"RW711", "RW719"}
            change = following()
            fleet.mkdir()
            (fleet / "a.yaml").write_text("2")
            while not isinstance(sight := await change, SourceTree) or not sight.files:
                change = following()
            change = following()
            (fleet / "a.yaml").write_text("3")
            assert files(await change) == {"a.yaml": b"3"}

    async def test_stopping_ends_it(self, tmp_path: Path) -> None:
        stop = asyncio.Event()
        async for _ in watch(tmp_path, stop):
            stop.set()

    async def test_a_cancelled_watch_stops_nothing_else(self, tmp_path: Path) -> None:
        stop = asyncio.Event()
        sights = watch(tmp_path, stop)
        await anext(sights)
        change = asyncio.ensure_future(anext(sights))
        await asyncio.sleep(0.05)
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert not stop.is_set()


class TestGit:
    async def test_a_commit_changes_what_is_uncommitted(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.write({"a.yaml": "2"})
        async with watched(git_repository.path) as following:
            sight = await following()
            assert isinstance(sight, SourceTree)
            assert sight.uncommitted == ("a.yaml",)
            change = following()
            git_repository.commit("Two", {})
            sight = await change
            assert isinstance(sight, SourceTree)
            assert sight.uncommitted == ()

    async def test_with_a_ref_only_its_commits_count(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        git_repository.git("checkout", "--quiet", "-b", "next")
        async with watched(git_repository.path, "main") as following:
            assert files(await following()) == {"a.yaml": b"1"}
            change = following()
            git_repository.commit("Elsewhere", {"a.yaml": "2"})
            done, _ = await asyncio.wait([change], timeout=0.3)
            assert not done
            git_repository.git("branch", "--force", "main", "next")
            assert files(await change) == {"a.yaml": b"2"}

    async def test_a_bare_repository_is_watched(
        self, git_repository: GitRepository, tmp_path: Path
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        bare = tmp_path / "bare.git"
        git_repository.git("clone", "--quiet", "--bare", ".", str(bare))
        async with watched(bare, "main") as following:
            assert files(await following()) == {"a.yaml": b"1"}
            change = following()
            git_repository.commit("Two", {"a.yaml": "2"})
            git_repository.git("push", "--quiet", str(bare), "main")
            assert files(await change) == {"a.yaml": b"2"}

    async def test_packed_refs_are_noticed(self, git_repository: GitRepository) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        second = git_repository.commit("Two", {"a.yaml": "2"})
        git_repository.git("reset", "--quiet", "--hard", "HEAD~1")
        git_repository.git("pack-refs", "--all")
        packed = git_repository.path / ".git/packed-refs"
        async with watched(git_repository.path, "main") as following:
            assert files(await following()) == {"a.yaml": b"1"}
            change = following()
            first = git_repository.git("rev-parse", "main")
            packed.write_text(packed.read_text().replace(first, second))
            assert files(await change) == {"a.yaml": b"2"}

    async def test_a_branch_that_is_not_there_yet_is_waited_for(
        self, git_repository: GitRepository
    ) -> None:
        git_repository.commit("One", {"a.yaml": "1"})
        async with watched(git_repository.path, "release") as following:
            error = await following()
            assert isinstance(error, SourceError)
            assert error.code == "RW713"
            change = following()
            git_repository.git("branch", "release")
            assert files(await change) == {"a.yaml": b"1"}

    async def test_a_directory_without_repository_is_told(self, tmp_path: Path) -> None:
        async with watched(tmp_path, "main") as following:
            error = await following()
            assert isinstance(error, SourceError)
            assert error.code == "RW711"
