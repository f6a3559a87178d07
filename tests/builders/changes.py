"""What differs between two sets of files, as git tells it."""

import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.compiled.changed_documents import ChangedSide, changed_documents
from reconciler.git.changed_lines import EVERY_LINE, Lines
from reconciler.git.command import parse_line_changes
from reconciler.git.tree import blob_id
from reconciler.planning.changed_values import ChangedValues

Files = Mapping[str, bytes]


def changed_values(before: Files, after: Files) -> ChangedValues:
    """Return the values of documents that differ, without a repository."""
    removed, added = changed_lines(before, after)
    return ChangedValues(*changed_documents(_side(before, removed), _side(after, added)))


def changed_lines(before: Files, after: Files) -> tuple[dict[str, Lines], dict[str, Lines]]:
    """Return the lines of both sides that differ, by file."""
    removed: dict[str, Lines] = {}
    added: dict[str, Lines] = {}
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            (added if old is None else removed)[path] = EVERY_LINE
        elif old != new:
            removed[path], added[path] = _lines(old, new)
    return removed, added


def _lines(old: bytes, new: bytes) -> tuple[Lines, Lines]:
    with TemporaryDirectory() as folder:
        paths = Path(folder, "old"), Path(folder, "new")
        for path, content in zip(paths, (old, new), strict=True):
            path.write_bytes(content)
        command = ["git", "diff", "--no-index", "--unified=0", "--full-index", "--text", *paths]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    spans = defaultdict(list)
    for change in parse_line_changes(done.stdout.splitlines(keepends=True)):
        assert (change.before, change.after) == (blob_id(old), blob_id(new))
        spans["old"] += [(hunk.before, hunk.removed) for hunk in change.hunks]
        spans["new"] += [(hunk.after, hunk.added) for hunk in change.hunks]
    return Lines(spans["old"]), Lines(spans["new"])


def _side(files: Files, lines: dict[str, Lines]) -> ChangedSide:
    return ChangedSide(lines, lambda paths: {path: files[path] for path in paths if path in files})
