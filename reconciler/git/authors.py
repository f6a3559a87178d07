"""Who wrote and committed what lies between two commits."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.git.command import GitCommand
from reconciler.git.signature import signature_kind
from reconciler.git.tree import MAX_FILE_BYTES

_ADDRESS = re.compile(rb"^(?:author|committer) [^\n]*?<([^>\n]*)>", re.MULTILINE)


class Authorship(NamedTuple):
    """Whose a commit is, as it says itself."""

    commit: str
    emails: frozenset[str]
    """Of author and committer, case folded."""
    signature: str
    """``ssh``, ``gpg`` or another kind; empty where it has none."""


def authorship(git: GitCommand, older: str, newer: str) -> Iterator[Authorship]:
    """Yield whose the commits are that ``newer`` has and ``older`` lacks, merged ones too.

    Raises ``SourceError`` as ``GitCommand``.
    """
    for object_id, content in git.objects(git.commits_between(older, newer), MAX_FILE_BYTES):
        yield Authorship(object_id, emails_of(content), signature_kind(object_id, content))


def emails_of(commit: bytes) -> frozenset[str]:
    """Return the addresses of author and committer of a commit in ``git cat-file`` form. Pure."""
    head = commit.partition(b"\n\n")[0]
    return frozenset(
        address.decode(errors="replace").strip().casefold() for address in _ADDRESS.findall(head)
    )
