"""What a commit holds: who made it, and the files that can hold desired state."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.git.command import (
    INDIRECT,
    LINK,
    SUBMODULE,
    Entry,
    GitCommand,
    ObjectTooLargeError,
    can_be_ref,
    parse_commit,
)
from reconciler.git.link import broken_link, refuse_link_to_folder, resolve_link
from reconciler.git.repository import Repository
from reconciler.git.tree import (
    MAX_FILE_BYTES,
    Commit,
    is_wanted,
    refuse_odd_name,
    refuse_pointer,
    refuse_too_large,
    refuse_too_many,
)
from specs.desired_state import is_hidden

_LONGEST_LINK = 4096  # PATH_MAX
_NAMED = 5
_END_OF_NAME = re.compile(r"[~^@:{]")
"""What git-rev-parse(1) lets follow a name: ``main~1``, ``main@{yesterday}``."""


def resolve(repository: Path, git: GitCommand, ref: str) -> str:
    """Return the commit that ``ref`` names, or raise with what there is instead.

    A short name means the branch, although git takes a tag of the same name first. Where there
    are both, it is refused.
    """
    name = _END_OF_NAME.split(ref, maxsplit=1)[0]
    refs = git.refs_named(name) if can_be_ref(name) and name != "HEAD" else ()
    if len(refs) > 1:
        raise SourceError(
            "RW713",
            f"{name!r} is {' and '.join(refs)} in the repository {repository}",
            f"Write the full name: {refs[0]}{ref.removeprefix(name)}",
        )
    commit = git.commit_id(f"{refs[0]}{ref.removeprefix(name)}" if refs else ref)
    if commit is not None:
        return commit
    names = git.names()
    if not names and git.commit_id("HEAD") is None:
        raise SourceError(
            "RW712", f"the repository {repository} has no commit", "Commit the fleet's files first"
        )
    if git.is_known(ref):
        raise SourceError(
            "RW713",
            f"{ref!r} leads to no commit that the repository {repository} holds",
            "Name a commit; where it is one, see what `git fsck` says about the repository",
        )
    raise SourceError(
        "RW713", f"the repository {repository} has no {ref!r}", _suggestion(ref, names)
    )


def commit_of(git: GitCommand, commit: str) -> Commit:
    """Return who made ``commit``, when and why."""
    try:
        [(object_id, content)] = git.objects([commit], MAX_FILE_BYTES)
    except ObjectTooLargeError as error:
        refuse_too_large(f"the commit {commit}", error.size)
        raise
    return parse_commit(object_id, content)


def committed_blobs(repository: Repository, commit: str) -> Mapping[str, str]:
    """Return the ids of the files that can hold desired state, of links as links.

    Raises ``SourceError`` RW716 when the working tree has a submodule.
    """
    entries = list(repository.git.entries(commit, repository.folder))
    if repository.worktree is not None:
        top = repository.worktree / repository.folder
        # One that was removed since the commit is no obstacle.
        refuse_submodules(
            entry for entry in entries if entry.mode == SUBMODULE and (top / entry.path).is_dir()
        )
    return {entry.path: entry.id for entry in entries if is_wanted(entry.path)}


def refuse_submodules(entries: Iterable[Entry]) -> None:
    """Raise ``SourceError`` RW716 when one of ``entries`` is a submodule."""
    for entry in entries:
        if entry.mode == SUBMODULE and not is_hidden(entry.path):
            raise SourceError(
                "RW716",
                f"{entry.path} is a Git submodule",
                "Put the files themselves into the repository: a revision must say all by itself",
            )


def _suggestion(ref: str, names: tuple[str, ...]) -> str:
    import difflib  # noqa: PLC0415 - only for a mistake

    near = difflib.get_close_matches(ref, names, n=_NAMED)
    if near:
        return f"Perhaps {' or '.join(near)} is meant"
    listed = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Name a commit or one of {listed}{more}" if names else "Name a commit"


def wanted_blobs(git: GitCommand, entries: list[Entry]) -> dict[str, str]:
    """Return the blob of every file that is wanted, through links where there are any."""
    links = _link_targets(git, [entry for entry in entries if entry.mode == LINK])
    files = {path: blob for mode, blob, path in entries if mode not in INDIRECT} if links else {}
    blobs: dict[str, str] = {}
    for mode, blob, path in entries:
        if mode == LINK and not is_wanted(path):
            refuse_link_to_folder(path, links.get)
        if mode == SUBMODULE or not is_wanted(path):
            continue
        refuse_odd_name(path)
        if mode != LINK:
            blobs[path] = blob
            continue
        target = resolve_link(path, links.get)
        if target not in files:
            raise broken_link(path, links[path])
        blobs[path] = files[target]
    refuse_too_many(len(blobs), 0)
    return blobs


def _link_targets(git: GitCommand, links: list[Entry]) -> dict[str, str]:
    if not links:
        return {}
    try:
        targets = dict(git.objects({entry.id for entry in links}, _LONGEST_LINK))
    except ObjectTooLargeError as error:
        path = next(entry.path for entry in links if entry.id == error.id)
        raise broken_link(path, "a text too long to be a path") from error
    return {entry.path: targets[entry.id].decode(errors="surrogateescape") for entry in links}


def file_contents(git: GitCommand, blobs: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of each file; ``blobs`` maps paths to blobs.

    Raises ``SourceError``: RW714 when they are too large, RW715 for a pointer of Git LFS.
    """
    contents: dict[str, bytes] = {}
    size = 0
    try:
        # One order for all runs; the same content in many files is read and kept once.
        for blob, content in git.objects(dict.fromkeys(blobs.values()), MAX_FILE_BYTES):
            contents[blob] = content
            size += len(content)
            refuse_too_many(len(contents), size)
    except ObjectTooLargeError as error:
        path = next(path for path, blob in blobs.items() if blob == error.id)
        refuse_too_large(path, error.size)
        raise
    for path, blob in blobs.items():
        refuse_pointer(path, contents[blob])
    return {path: contents[blob] for path, blob in blobs.items()}
