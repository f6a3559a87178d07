"""Signed tags by which persons approve plans: ``approve/DIGEST`` on the plan's commit."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler.git.command import GitCommand, ObjectTooLargeError

PREFIX = "approve/"
_SHORTEST = 12
_LARGEST = 1 << 16
_NAME = re.compile(rf"approve/([0-9a-f]{{{_SHORTEST},64}})")
_HEAD = re.compile(
    rb"object ([0-9a-f]{40,64})\ntype commit\ntag ([^\n]+)\n"
    rb"tagger [^\n]*> ([0-9]{1,11}) [+-][0-9]{4}\n"
)


class ApprovalTag(NamedTuple):
    """An annotated tag that approves a plan if its signature is good."""

    id: str
    name: str
    digest: str
    """What the plan's digest begins with."""
    commit: str
    at: datetime
    """When it was made, as whoever made it says."""


def approval_tags(git: GitCommand) -> Iterator[ApprovalTag]:
    """Yield the repository's tags by which plans are approved; signatures are not looked at.

    A tag that stands under another name than its own is left out: it was signed for another
    plan. Raises ``SourceError`` as ``GitCommand``.
    """
    found = dict(git.tags(PREFIX))
    for name, object_id in found.items():
        try:
            [(_, content)] = git.objects([object_id], _LARGEST)
        except ObjectTooLargeError:
            continue
        tag = parse_tag(object_id, name, content)
        if tag is not None:
            yield tag


def parse_tag(object_id: str, name: str, content: bytes) -> ApprovalTag | None:
    """Return the tag in ``git cat-file tag`` form; None where it approves nothing. Pure."""
    head = _HEAD.match(content)
    matched = _NAME.fullmatch(name)
    if head is None or matched is None or head[2] != name.encode():
        return None
    at = datetime.fromtimestamp(min(int(head[3]), 2**31 - 1), UTC)
    return ApprovalTag(object_id, name, matched[1], head[1].decode(), at)
