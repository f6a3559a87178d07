"""Puts a release beside the others, and removes those that nobody needs.

A release has its name only when all of it is on the medium.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from agent.errors import TerminalError, UnwritableFileError
from agent.failpoint import failpoint
from agent.upgrade.places import HOME, START, VERSIONS, folder_of
from agent.whole_file import sync_folder

_NEW, _OLD = ".new-", ".old-"
_MOST_MEMBERS = 50_000
_MOST_BYTES = 2 << 30


def stage(archive: Path, home: Path, version: str) -> None:
    """Unpack what a release's archive has of its version; anything of that name is replaced.

    TerminalError RW607 for an archive that is not that of a release, UnwritableFileError RW572.
    The version must not be one that runs, or a package manager's.
    """
    target = folder_of(home, version)
    new = target.with_name(f"{_NEW}{version}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clean(target.parent)
        new.mkdir()
        try:
            _unpack(archive, version, new)
        except TerminalError:
            shutil.rmtree(new)
            raise
        os.sync()
        if target.exists():
            target.replace(target.with_name(f"{_OLD}{version}"))
        failpoint("release.before", version)
        new.replace(target)
        sync_folder(target.parent)
        failpoint("release.after", version)
        _clean(target.parent)
    except OSError as error:
        raise UnwritableFileError(new, error.strerror or str(error), error.errno) from error


def remove_releases(home: Path, versions: Collection[str]) -> None:
    """Remove releases; UnwritableFileError RW572 where one cannot be."""
    folder = home / VERSIONS
    try:
        for version in sorted(versions):
            folder_of(home, version).replace(folder / f"{_OLD}{version}")
        _clean(folder)
    except OSError as error:
        raise UnwritableFileError(folder, error.strerror or str(error), error.errno) from error


def _clean(folder: Path) -> None:
    """Remove what an interrupted agent left behind."""
    for path in sorted(folder.glob(".*")) if folder.is_dir() else ():
        if path.name.startswith((_NEW, _OLD)):
            shutil.rmtree(path)


def _unpack(archive: Path, version: str, target: Path) -> None:
    prefix = (*HOME.parts[1:], VERSIONS, version)
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member, path in _members(packed, prefix):
                _write(packed, member, target.joinpath(*path.parts), path)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _no_release(f"it cannot be unpacked: {error}") from error
    if not (target / START).is_file():
        raise _no_release(f"it has no {START} below {'/'.join(prefix)}")


def _members(
    packed: tarfile.TarFile, prefix: tuple[str, ...]
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Yield what belongs to the release, with its path below the release's folder."""
    size = 0
    for count, member in enumerate(packed):
        size += member.size
        if count >= _MOST_MEMBERS or size > _MOST_BYTES:
            raise _no_release("it has more than any release")
        parts = PurePosixPath(member.name).parts
        if ".." in parts:
            raise _no_release(f"it has the path {member.name}")
        if parts[: len(prefix)] == prefix and len(parts) > len(prefix):
            yield member, PurePosixPath(*parts[len(prefix) :])


def _write(
    packed: tarfile.TarFile, member: tarfile.TarInfo, target: Path, path: PurePosixPath
) -> None:
    if member.isdir():
        target.mkdir(mode=0o755, exist_ok=True)
    elif member.issym():
        _require_inside(path, member.linkname)
        target.symlink_to(member.linkname)
    elif member.isreg():
        mode = 0o755 if member.mode & stat.S_IXUSR else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        content = packed.extractfile(member)
        if content is None:
            raise _no_release(f"{member.name} has no content")
        with content, os.fdopen(os.open(target, flags, mode), "wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(mode)
        os.utime(target, (member.mtime, member.mtime))
    else:
        raise _no_release(f"{member.name} is neither a file nor a folder nor a link")


def _require_inside(path: PurePosixPath, link: str) -> None:
    """Raise TerminalError RW607 for a link that leads out of the release."""
    depth = len(path.parts) - 1
    for part in PurePosixPath(link).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            raise _no_release(f"{path} is a link to {link}")


def _no_release(cause: str) -> TerminalError:
    return TerminalError(
        "RW607",
        f"the archive is not one of an agent's release: {cause}",
        "Build it by `rackwright agent package --format tar`",
    )
