"""Reading desired state from a directory, as its files are now."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reconciler.errors import SourceError
from reconciler.git.commit import commit_of, committed_blobs, file_contents
from reconciler.git.link import broken_link, refuse_link_to_folder, resolve_link
from reconciler.git.repository import Repository, find_repository
from reconciler.git.tree import (
    MAX_ENTRIES,
    Algorithm,
    SourceTree,
    blob_id,
    is_wanted,
    refuse_odd_name,
    refuse_pointer,
    refuse_too_large,
    refuse_too_many,
    too_many_entries,
    worktree_revision,
)
from specs.desired_state import is_hidden

_ATTEMPTS = 5
_SHA256_HEX = 64
_NOT_THERE = (0, 0, 0)
"""The state of a file that was read from the index."""


class _File(NamedTuple):
    content: bytes
    link: bytes | None
    """The target's text, where it is a symbolic link."""
    state: tuple[int, int, int]
    """Inode, size and time of change: equal again when nobody touched the file."""


def read_worktree(directory: Path) -> SourceTree:
    """Return the tree below ``directory``, which may be in a Git repository or not.

    In a repository, files that Git ignores are left out, and the tree knows its
    commit and what is not committed. Files that change while they are read are read
    again, so that the tree is one that existed.

    Raises ``SourceError``: RW711 when it is no directory, RW714 when it is too large,
    RW715 for a link or name that is refused, RW716 for a submodule, RW717 when its
    repository is damaged, RW719 when a file cannot be read or the files never hold still.
    """
    top = Path(os.path.realpath(directory))
    if not top.is_dir():
        raise SourceError(
            "RW711", f"{directory} is not a directory", "Name the folder that describes the fleet"
        )
    repository = _repository(top)
    files = _files_at_rest(top, repository)
    head = None if repository is None else repository.git.commit_id("HEAD")
    algorithm: Algorithm = "sha256" if head is not None and len(head) == _SHA256_HEX else "sha1"
    contents = {path: file.content for path, file in files.items()}
    blobs = {path: blob_id(content, algorithm) for path, content in contents.items()}
    if repository is None or head is None:
        revision = worktree_revision(blobs)
        return SourceTree(revision, contents, blobs, None, in_git=repository is not None)
    linked = {
        path: blob_id(file.link, algorithm) for path, file in files.items() if file.link is not None
    }
    committed = committed_blobs(repository, head)
    differing = _differences(blobs | linked, committed)
    converted = _converted(repository, differing, committed)
    blobs |= converted
    contents |= file_contents(repository.git, converted)
    return SourceTree(
        worktree_revision(blobs),
        contents,
        blobs,
        commit_of(repository.git, head),
        tuple(path for path in differing if path not in converted),
    )


def uncommitted_files(directory: Path, most: int) -> tuple[str, ...]:
    """Return the files of desired state below ``directory`` that differ from HEAD.

    Empty where there is no commit or no working tree, and where there are more than ``most``
    files: reading them takes too long for a remark. Raises as ``read_worktree``.
    """
    top = Path(os.path.realpath(directory))
    repository = _repository(top) if top.is_dir() else None
    if repository is None or len(_paths(top, repository)) > most:
        return ()
    return read_worktree(directory).uncommitted


def _repository(top: Path) -> Repository | None:
    try:
        found = find_repository(top)
    except SourceError as error:
        if error.code not in {"RW710", "RW711"}:
            raise
        return None  # also without git: files can be read without it
    if found.worktree is None or found.git.ignores(found.worktree, found.folder):
        return None
    return found


def _converted(
    repository: Repository, differing: Sequence[str], committed: Mapping[str, str]
) -> dict[str, str]:
    """Return of differing files the blobs of those that are committed, and only look otherwise.

    Line ends and encodings of a working tree may be others than the commit's.
    """
    if repository.worktree is None:
        return {}
    folder = Path(repository.folder)
    asked = {
        path: str(folder / path)
        for path in differing
        if path in committed and (repository.worktree / folder / path).is_file()
    }
    ids = repository.git.cleaned_ids(repository.worktree, tuple(asked.values())) if asked else ()
    return {path: blob for path, blob in zip(asked, ids, strict=False) if blob == committed[path]}


def _files_at_rest(top: Path, repository: Repository | None) -> dict[str, _File]:
    for _ in range(_ATTEMPTS):
        paths = _paths(top, repository)
        files = _files(top, paths)
        now = {path: _state(top / path) for path in _paths(top, repository)}
        existing = {path: state for path, state in now.items() if state is not None}
        if existing == {path: file.state for path, file in files.items()}:
            return _with_left_out(files, paths, repository)
    raise SourceError(
        "RW719",
        f"the files in {top} changed each of the {_ATTEMPTS} times that they were read",
        "Wait for what writes them, or name a commit with --ref",
    )


def _with_left_out(
    files: dict[str, _File], paths: Mapping[str, str], repository: Repository | None
) -> dict[str, _File]:
    """Return files and those that a sparse checkout leaves out: they are part of the fleet."""
    left_out = {path: blob for path, blob in paths.items() if blob and path not in files}
    if not left_out or repository is None:
        return files
    contents = file_contents(repository.git, left_out)
    added = {path: _File(contents[path], None, _NOT_THERE) for path in left_out}
    return dict(sorted((files | added).items()))


def _paths(top: Path, repository: Repository | None) -> dict[str, str]:
    """Return the paths of what can hold desired state, sorted; some may be gone.

    With the blob of each that a sparse checkout leaves out, and nothing for others.
    """
    if repository is None or repository.worktree is None:
        found = dict.fromkeys(_walked(top), "")
    else:
        found = repository.git.worktree_files(repository.worktree, repository.folder)
    paths = {}
    for path, blob in sorted(found.items()):
        if is_wanted(path):
            refuse_odd_name(path)
            paths[path] = blob
        elif not PurePosixPath(path).suffix and (top / path).is_symlink():
            refuse_link_to_folder(path, lambda part: _target_of(top / part))
    refuse_too_many(len(paths), 0)
    return paths


def _walked(top: Path) -> Iterator[str]:
    """Return every file and link below ``top``; the type comes with the name, no file is asked."""
    folders, seen = [""], 0
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(top / folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MAX_ENTRIES:
                        raise too_many_entries()
                    if entry.is_dir(follow_symlinks=False):
                        if not is_hidden(entry.name):
                            folders.append(f"{folder}{entry.name}/")
                    else:
                        yield f"{folder}{entry.name}"
        except FileNotFoundError:
            continue  # removed since its parent was listed, which the second look notices
        except OSError as error:
            raise _unreadable(folder or str(top), error) from error


def _files(top: Path, paths: Iterable[str]) -> dict[str, _File]:
    files: dict[str, _File] = {}
    size = 0
    for path in paths:
        try:
            file = _read(top, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        if file is not None:
            files[path] = file
            size += len(file.content)
            refuse_too_many(len(files), size)
    return files


def _read(top: Path, path: str) -> _File | None:
    """Return the file; None for a folder, which may be called like one."""
    try:
        with open(top / path, "rb", buffering=0, opener=_open_file) as file:
            return _content(path, file, None)
    except IsADirectoryError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    text = str((top / path).readlink())
    target = resolve_link(path, lambda part: _target_of(top / part))
    if ".git" in target.split("/") or not (top / target).is_file():
        raise broken_link(path, text)
    with (top / target).open("rb", buffering=0) as file:
        return _content(path, file, os.fsencode(text))


def _open_file(path: str, flags: int) -> int:
    # Not blocking: a FIFO would wait for its writer for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _content(path: str, file: FileIO, link: bytes | None) -> _File:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise SourceError("RW719", f"{path} is not a regular file", "Move it out of the folder")
    refuse_too_large(path, status.st_size)
    content = file.read(status.st_size + 1)
    refuse_pointer(path, content)
    return _File(content, link, _state_of(status))


def _target_of(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError:
        return None


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return None if stat.S_ISDIR(status.st_mode) else _state_of(status)


def _state_of(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _differences(these: Mapping[str, str], those: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(path for path in sorted({*these, *those}) if these.get(path) != those.get(path))


def _unreadable(path: str, error: OSError) -> SourceError:
    return SourceError(
        "RW719",
        f"{path} cannot be read: {error.strerror}",
        "Let this user read the whole folder",
    )
