"""Telling when desired state changes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from watchfiles import Change, awatch

from reconciler.errors import SourceError
from reconciler.git.repository import find_repository
from reconciler.git.revision import find_revision
from reconciler.git.tree import SourceTree
from reconciler.git.worktree import read_worktree
from specs.desired_state import is_hidden

_QUIET_MILLISECONDS = 200  # an editor's save, and most checkouts, are over by then
_LONGEST_MILLISECONDS = 2_000
_RESTART_SECONDS = 1.0
_RETRY_SECONDS = 30.0  # an error may pass without any file in the watched places changing
_REFS = frozenset({"HEAD", "packed-refs", "refs", "reftable"})

SourceState = SourceTree | SourceError


async def watch(
    directory: Path, stop: asyncio.Event, ref: str | None = None
) -> AsyncIterator[SourceState]:
    """Yield the tree now, and again whenever it has changed, until ``stop`` is set.

    Without ``ref`` it is ``read_worktree(directory)``: changed when a file is, or
    when a commit changes what is uncommitted. With ``ref`` it is that commit's:
    changed when ``ref`` names another commit.

    What cannot be read, or cannot be watched, is yielded as the error, once, and the
    watch goes on: the caller keeps the tree that it had.
    """
    last: object = None
    while not stop.is_set():
        async with aclosing(_sights(directory, ref, stop)) as states:
            async for state in states:
                if _distinguishing(state) != last:
                    last = _distinguishing(state)
                    yield state
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _RESTART_SECONDS)


@dataclass(frozen=True, slots=True)
class _Places:
    """What is watched: the files, where their content counts, and Git's own directories."""

    top: Path | None
    git: tuple[Path, ...]
    identities: tuple[tuple[int, int] | None, ...]

    @classmethod
    def of(cls, directory: Path, ref: str | None) -> Self:
        """Return the places; SourceError when ``ref`` is given, but there is no repository."""
        top = directory.resolve() if ref is None else None
        try:
            repository = find_repository(directory)
        except SourceError:
            if top is None:
                raise
            git: tuple[Path, ...] = ()
        else:
            git = tuple(dict.fromkeys((repository.git_dir, repository.common)))
        return cls(top, git, tuple(map(_identity, _roots(top, git))))

    def roots(self) -> list[Path]:
        """Return the directories to watch with all below them, none inside another."""
        return _roots(self.top, self.git)

    def replaced(self) -> bool:
        """Tell whether a directory was removed or replaced: a watch stays with the old one."""
        return tuple(map(_identity, self.roots())) != self.identities

    def concern(self, _: Change, name: str) -> bool:
        """Tell whether a change of the file ``name`` can change the tree."""
        path = Path(name)
        for git_dir in self.git:
            if path.is_relative_to(git_dir):
                parts = path.relative_to(git_dir).parts
                return bool(parts) and parts[0] in _REFS and path.suffix != ".lock"
        return self.top is not None and not (
            path.is_relative_to(self.top) and is_hidden(path.relative_to(self.top).as_posix())
        )


async def _sights(
    directory: Path, ref: str | None, stop: asyncio.Event
) -> AsyncGenerator[SourceState, None]:
    """Yield the tree now and after each change; ends when the watch must be set up anew."""
    try:
        places = _Places.of(directory, ref)
    except SourceError as error:
        yield error
        return
    ended = _EitherEvent(stop)
    changed = asyncio.Event()
    listener = asyncio.create_task(_listen(places, ended, changed))
    # The listener now runs up to its first wait: changes are caught before the files are read.
    await asyncio.sleep(0)
    commit = ""
    state: SourceState | None = None
    try:
        while not listener.done():
            changed.clear()
            now = await asyncio.to_thread(_look, directory, ref, commit)
            if now is not None:
                state = now
                commit = "" if isinstance(state, SourceError) else state.revision
                yield state
            if places.replaced():
                return
            with suppress(TimeoutError):
                failed = isinstance(state, SourceError)
                await asyncio.wait_for(changed.wait(), _RETRY_SECONDS if failed else None)
    finally:
        ended.set()
        trouble = (await asyncio.gather(listener, return_exceptions=True))[0]
    if isinstance(trouble, Exception):
        yield _unwatchable(directory, trouble)


async def _listen(places: _Places, ended: "_EitherEvent", changed: asyncio.Event) -> None:
    try:
        async for _ in awatch(
            *places.roots(),
            watch_filter=places.concern,
            debounce=_LONGEST_MILLISECONDS,
            step=_QUIET_MILLISECONDS,
            stop_event=ended,
            ignore_permission_denied=True,
        ):
            changed.set()
    finally:
        changed.set()


def _look(directory: Path, ref: str | None, commit: str) -> SourceState | None:
    """Return the tree or the error; None when ``ref`` still names ``commit``."""
    try:
        if ref is None:
            return read_worktree(directory)
        revision = find_revision(directory, ref)
        return None if revision.commit.id == commit else revision.read()
    except SourceError as error:
        return error


class _EitherEvent:
    """Set when the caller's event is, or when its own is: ending a watch stops nothing else."""

    def __init__(self, outer: asyncio.Event) -> None:
        self._outer = outer
        self._own = False

    def is_set(self) -> bool:
        """Tell whether either is set."""
        return self._own or self._outer.is_set()

    def set(self) -> None:
        """Set the own one."""
        self._own = True


def _distinguishing(state: SourceState) -> object:
    """Return what makes a state worth telling."""
    if isinstance(state, SourceError):
        return str(state)
    return state.revision, state.commit, state.uncommitted


def _roots(top: Path | None, git: Iterable[Path]) -> list[Path]:
    roots: list[Path] = []
    for path in ((top,) if top is not None else ()) + tuple(git):
        if not any(path.is_relative_to(root) for root in roots):
            roots.append(path)
    return roots


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unwatchable(directory: Path, error: Exception) -> SourceError:
    return SourceError(
        "RW719",
        f"changes in {directory} cannot be watched: {error}",
        "Raise the limit, where one is named: sysctl fs.inotify.max_user_watches=1048576",
    )
