"""From a revision to its fleet: kept, brought up to date, or compiled."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.compiled.cache import FleetCache
from reconciler.compiled.cache_error import CacheError
from reconciler.compiled.version import program_version
from reconciler.errors import SourceError
from reconciler.git.command import Change
from reconciler.git.revision import Revision
from reconciler.git.tree import MAX_FILE_BYTES, is_hidden, is_wanted

if TYPE_CHECKING:
    from reconciler.compiled.index import Compiled, FleetIndex
    from reconciler.compiled.sight import PlanAhead

Busy = Callable[[str], AbstractContextManager[None]]
"""Shows a text while its context lasts."""

_MOST_CHANGES = 500
"""Files beyond which compiling everything by all processors is the faster way."""


def open_cache(state: Path) -> FleetCache | None:
    """Return the cache in a state directory; None where there can be none."""
    try:
        return FleetCache(state / "cache" / "fleet.db", program_version())
    except CacheError:
        return None


def open_index(
    revision: Revision,
    cache: FleetCache | None,
    ahead: "PlanAhead | None" = None,
    busy: Busy | None = None,
) -> "FleetIndex | None":
    """Return the fleet of a revision; None when it is not sound, and has to be looked at whole.

    ``ahead`` is the plan that will be asked for next: where everything is compiled, it is
    made on the way. ``busy`` says that this is under way. Raises ``SourceError`` as
    ``Revision.read``.
    """
    if cache is not None:
        try:
            known = cache.index(revision.tree)
            if known is not None:
                return known
            updated = _updated(revision, cache)
        except (CacheError, SourceError):
            updated = None  # a file that is refused is named where everything is read
        if updated is not None:
            return _kept(cache, revision, updated)
    from reconciler.compiled.compile import compile_index  # noqa: PLC0415 - slow to load

    source = revision.read()
    with busy(f"compiling {len(source.files):,} files") if busy else nullcontext():
        compiled = compile_index(source.files, ahead)
    if compiled is None or source.has_links:
        # What a link leads to may change without the link: such a tree is compiled whole.
        return None if compiled is None else compiled[0]
    return _kept(cache, revision, compiled)


def _kept(cache: FleetCache | None, revision: Revision, compiled: "Compiled") -> "FleetIndex":
    if cache is not None:
        with suppress(CacheError):  # the next command compiles again
            cache.keep(revision.tree, *compiled)
    return compiled[0]


def _updated(revision: Revision, cache: FleetCache) -> "Compiled | None":
    """Return the fleet as a kept one with the files that changed since; None if that cannot be."""
    for tree in cache.trees():
        try:
            changes = [each for each in revision.changes_since(tree) if _matters(each)]
        except SourceError:
            continue  # of another repository
        if len(changes) > _MOST_CHANGES or not all(map(_is_plain, changes)):
            continue
        known = cache.index(tree)
        if known is None:
            continue
        from reconciler.compiled.update import update_index  # noqa: PLC0415 - slow to load

        before, after = _contents(revision, changes)
        return update_index(known, cache.groundwork(tree), before, after)
    return None


def _matters(change: Change) -> bool:
    if is_hidden(change.path):
        return False
    return change.is_indirect or is_wanted(change.path)


def _is_plain(change: Change) -> bool:
    """Return whether a changed file is what it seems, and nobody else's content."""
    return (
        not change.is_indirect
        and change.path.isprintable()
        and not change.path.lower().endswith(".csv")
    )


def _contents(
    revision: Revision, changes: list[Change]
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    blobs = {blob for each in changes for blob in (each.before, each.after) if blob}
    contents = revision.contents(sorted(blobs), MAX_FILE_BYTES)
    before = {each.path: contents[each.before] for each in changes if each.before}
    after = {each.path: contents[each.after] for each in changes if each.after}
    return before, after
