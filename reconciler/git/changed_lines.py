"""Which lines of desired state differ between two commits."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

from reconciler.git.revision import Revision
from reconciler.git.tree import is_wanted

_NO_END = 1 << 31


class Lines:
    """Lines of one file that the other side does not have, counted from 1.

    ``spans`` are first lines and how many, in order. A span of none stands for lines that only
    the other side has: they would follow this line.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        known = sorted(spans)
        changed = [(first, first + count - 1) for first, count in known if count]
        self._first = [first for first, _ in changed]
        self._last = [last for _, last in changed]
        beside = sorted((first, first + (count - 1 if count else 1)) for first, count in known)
        self._beside_first = [first for first, _ in beside]
        self._beside_last = list(accumulate((last for _, last in beside), max))

    def __contains__(self, line: int) -> bool:
        """Return whether a line is one of them."""
        return self.next(line) == line

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._first)

    def next(self, line: int) -> int | None:
        """Return the first of them that is no earlier than ``line``."""
        place = bisect_left(self._last, line)
        return max(line, self._first[place]) if place < len(self._first) else None

    def nearest(self, line: int, first: int, last: int) -> int | None:
        """Return the one from ``first`` to ``last`` that is nearest to a line between them."""
        after = self.next(line)
        place = bisect_right(self._first, line) - 1
        before = min(line, self._last[place]) if place >= 0 else None
        near = [each for each in (before, after) if each is not None and first <= each <= last]
        return min(near, key=lambda each: abs(each - line), default=None)

    def touch(self, first: int, last: int) -> bool:
        """Return whether one of them, or a gap, is among or beside the lines from first to last."""
        place = bisect_right(self._beside_first, last)
        return place > 0 and self._beside_last[place - 1] >= first


EVERY_LINE = Lines(((1, _NO_END),))
"""Of a file that the other side does not have, or of which git tells no lines."""


class ChangedFile(NamedTuple):
    """One version of a file that differs."""

    blob: str
    lines: Lines


class ChangedFiles(NamedTuple):
    """The files that differ, by their paths: of the base, and of what follows it."""

    before: Mapping[str, ChangedFile]
    after: Mapping[str, ChangedFile]


def changed_files(before: Revision, after: Revision) -> ChangedFiles:
    """Return where two commits of one repository differ in desired state.

    A file that was only moved has no changed line. Raises ``SourceError`` as
    ``Revision.blobs`` and RW717 when git fails.
    """
    if before.tree == after.tree:
        return ChangedFiles({}, {})
    old, new = _differing_blobs(before, after)
    moved = set(old.values()) & set(new.values())
    removed: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    added: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for change in after.git.line_changes(before.tree, after.tree):
        removed[change.before] += ((hunk.before, hunk.removed) for hunk in change.hunks)
        added[change.after] += ((hunk.after, hunk.added) for hunk in change.hunks)
    return ChangedFiles(
        {path: _changed(blob, removed) for path, blob in old.items() if blob not in moved},
        {path: _changed(blob, added) for path, blob in new.items() if blob not in moved},
    )


def _changed(blob: str, spans: Mapping[str, list[tuple[int, int]]]) -> ChangedFile:
    return ChangedFile(blob, Lines(spans[blob]) if blob in spans else EVERY_LINE)


def _differing_blobs(before: Revision, after: Revision) -> tuple[dict[str, str], dict[str, str]]:
    """Return the blobs by path that only one of the two has there."""
    changes = list(after.git.changes(before.tree, after.tree))
    wanted = [each for each in changes if is_wanted(each.path)]
    if wanted and not any(each.is_indirect for each in changes):
        return (
            {each.path: each.before for each in wanted if each.before},
            {each.path: each.after for each in wanted if each.after},
        )
    old, new = before.blobs()[0], after.blobs()[0]  # through links
    return (
        {path: blob for path, blob in old.items() if new.get(path) != blob},
        {path: blob for path, blob in new.items() if old.get(path) != blob},
    )
