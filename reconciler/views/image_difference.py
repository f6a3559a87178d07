"""What differs between two images, as text and as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from providers.imaging.tree_comparison import ADDED, CHANGED, REMOVED, UNREADABLE
from reconciler.planning.image_difference import ChangedFiles, Found, PackageChange, PlacedChange
from reconciler.views.untrusted import for_terminal

FORMAT = "rackwright-image-diff/1"
_SIGNS = {ADDED: "+", REMOVED: "-", CHANGED: "~", UNREADABLE: "!"}


def package_kind(change: PackageChange) -> str:
    """Return whether a package was added, removed or changed."""
    if change.before and change.after:
        return CHANGED
    return ADDED if change.after else REMOVED


def difference_lines(found: Found, files: ChangedFiles, most: int | None) -> Iterator[str]:
    """Yield the lines for people: how much first, then what; of files the first ``most``."""
    packages = found.packages or ()
    counts = _counted(Counter(map(package_kind, packages)))
    yield f"partitions: {len(found.parts)} changed" if found.parts else "partitions: the same"
    yield f"packages: {'not known' if found.packages is None else counts}"
    yield f"files: {_counted(files.counts)}"
    for problem in found.problems:
        yield f"not compared: {for_terminal(problem)}"
    if found.parts:
        yield from ("", "Partitions")
        for part in found.parts:
            yield f"  ~ {for_terminal(part.title)}: {for_terminal(', '.join(part.details))}"
    if packages:
        yield from ("", "Packages")
        yield from map(_package_line, packages)
    shown = files.first()[:most]
    if shown:
        yield from ("", "Files")
        yield from map(_file_line, shown)
    if hidden := files.counts.total() - len(shown):
        yield f"  … and {hidden:,} more (--files all)"


def difference_document(
    digests: Sequence[str], found: Found, files: ChangedFiles
) -> dict[str, Any]:
    """Return everything for programs; bytes of paths that are no UTF-8 are surrogates."""
    return {
        "format": FORMAT,
        "before": digests[0],
        "after": digests[1],
        "partitions": [{"name": each.title, "details": list(each.details)} for each in found.parts],
        "packages": None
        if found.packages is None
        else [
            {
                "name": each.name,
                "architecture": each.architecture,
                "change": package_kind(each),
                "before": list(each.before),
                "after": list(each.after),
            }
            for each in found.packages
        ],
        "files": [
            {
                "partition": each.part,
                "path": each.change.path,
                "change": each.change.kind,
                "details": list(each.change.details),
            }
            for each in files.first()
        ],
        "notCompared": list(found.problems),
    }


def _counted(counts: Counter[str]) -> str:
    words = [f"{counts[kind]:,} {kind}" for kind in (CHANGED, ADDED, REMOVED, UNREADABLE)]
    return ", ".join(each for each in words if not each.startswith("0 ")) or "the same"


def _package_line(change: PackageChange) -> str:
    versions = " → ".join(", ".join(each) for each in (change.before, change.after) if each)
    return f"  {_SIGNS[package_kind(change)]} {for_terminal(f'{change.name} {versions}')}"


def _file_line(placed: PlacedChange) -> str:
    change = placed.change
    details = f"  ({', '.join(change.details)})" if change.details else ""
    return f"  {_SIGNS[change.kind]} {for_terminal(placed.shown + details)}"
