"""What people name as the source of desired state, and opening it."""

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from reconciler.errors import SourceError
from reconciler.git.command import GitCommand, without_login
from reconciler.git.repository import find_repository, read_in_part
from reconciler.git.revision import Revision, find_revision
from reconciler.git.tree import SourceTree
from reconciler.git.worktree import read_worktree

_PROTOCOLS = ("file", "https", "ssh")
_SCP_FORM = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)[^:]+")
_OTHER_FORMAT = "server sha256"
"""In what git says where its object format is another than the other side's."""
_REMOTE_HEAD = "refs/rackwright/HEAD"
_HEADS_AND_TAGS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class RemoteRepository(NamedTuple):
    """A Git repository behind a URL, which git may be given as it is."""

    url: str

    @property
    def mirror_name(self) -> str:
        """Name of its copy in a cache: readable, different for every URL, without the login."""
        url = without_login(self.url)
        readable = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2] or url)
        digest = hashlib.sha256(url.encode()).hexdigest()
        return f"{readable.strip('-')[-60:]}-{digest[:12]}.git"


def parse_location(text: str) -> Path | RemoteRepository:
    """Return the path or the repository that ``text`` names. Touches nothing.

    ``host:path`` is ssh, as git has it, unless a slash comes before the colon.
    Raises ``SourceError`` RW718 for nothing at all, for a protocol other than file, https
    and ssh, and for a URL with a password in it.
    """
    if not text.strip():
        raise SourceError(
            "RW718", "the source is an empty text", "Name a directory, or . for the present one"
        )
    if "://" not in text and "::" not in text:
        return RemoteRepository(text) if _SCP_FORM.fullmatch(text) else Path(text)
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        parts, password = SplitResult("", "", "", "", ""), None
    if password is not None:
        # Not shown: it would reach logs and the process list.
        raise SourceError(
            "RW718",
            f"the address of the repository on {parts.hostname} has a password in it",
            "Leave it out and give it to git by a credential helper",
        )
    if parts.scheme not in _PROTOCOLS or text.startswith("-") or not text.isprintable():
        raise SourceError(
            "RW718",
            f"{without_login(text)!r} cannot be a source",
            "Use a path, or a URL with https://, ssh:// or file://",
        )
    return RemoteRepository(text)


def open_source(location: str, ref: str | None, *, cache: Path) -> SourceTree:
    """Return the tree at ``location``, a path or URL, at ``ref``.

    Without ``ref``, a directory is read as its files are, a bare repository at its
    HEAD, and a URL at the HEAD of the other side. A URL is fetched into a bare
    repository below the directory ``cache``, which later calls bring up to date;
    processes may share it.

    Raises ``SourceError``: RW718 for a location that is refused, RW717 when it cannot
    be fetched, and as ``find_revision``, ``Revision.read`` and ``read_worktree``.
    """
    revision = open_revision(location, ref, cache=cache)
    return read_worktree(Path(location)) if revision is None else revision.read()


def open_revision(location: str, ref: str | None, *, cache: Path) -> Revision | None:
    """Return the commit that ``open_source`` reads, before its files are read.

    None where a directory is read as its files are. Raises as ``open_source``.
    """
    place = parse_location(location)
    if isinstance(place, RemoteRepository):
        return _fetched(place, ref, cache)
    if ref is not None:
        return find_revision(place, ref)
    return find_revision(place, "HEAD") if _is_bare(place) else None


def repository_path(location: str, cache: Path) -> Path:
    """Return where the repository of a location is on this computer: for a URL, its copy."""
    place = parse_location(location)
    return cache / place.mirror_name if isinstance(place, RemoteRepository) else place


def subfolder_notice(location: str) -> str:
    """Return that only a folder of a repository is read, as ``read_in_part`` says it."""
    place = parse_location(location)
    return "" if isinstance(place, RemoteRepository) else read_in_part(place)


def no_machine_note(location: str) -> str:
    """Return a line for where no machine was found because only a folder is read; else nothing."""
    notice = subfolder_notice(location)
    return f"note: no machine is in it: {notice}" if notice else ""


def _fetched(remote: RemoteRepository, ref: str | None, cache: Path) -> Revision:
    mirror = cache / remote.mirror_name
    refspecs = [*_HEADS_AND_TAGS]
    if ref is None:
        refspecs.append(f"+HEAD:{_REMOTE_HEAD}")
    with _locked(mirror):
        git = GitCommand(mirror)
        if (mirror / "HEAD").exists() and git.names():
            git.fetch(remote.url, refspecs)
        else:
            _first_fetch(git, remote.url, refspecs)
        return find_revision(mirror, ref or _REMOTE_HEAD)


def _first_fetch(git: GitCommand, url: str, refspecs: list[str]) -> None:
    """Fetch into a mirror of the other side's object format, which only git's words tell."""
    git.initialise("sha1")
    try:
        git.fetch(url, refspecs)
    except SourceError as error:
        shutil.rmtree(git.git_dir)
        if _OTHER_FORMAT not in error.cause:
            raise
        git.initialise("sha256")
        git.fetch(url, refspecs)


@contextmanager
def _locked(mirror: Path) -> Iterator[None]:
    """Keep other processes from the mirror: git's own locks make the second one fail."""
    try:
        mirror.parent.mkdir(parents=True, exist_ok=True)
        with mirror.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise SourceError(
            "RW719",
            f"{mirror} cannot be written: {error.strerror}",
            "Give this user a cache directory on a file system with room",
        ) from error


def _is_bare(path: Path) -> bool:
    try:
        return find_repository(path).worktree is None
    except SourceError:
        return False
