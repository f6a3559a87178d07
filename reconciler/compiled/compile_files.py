"""From files to a fleet: what is in the cache is not compiled again."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from reconciler.compiled.cache import FleetCache
from reconciler.compiled.compiled_files import CompiledFiles, MissingRowsError
from reconciler.compiled.source import SourceFiles
from specs.fleet import CompiledFleet

Busy = Callable[[str], AbstractContextManager[None]]
"""Shows a text while its context lasts."""


def compile_files(
    source: SourceFiles, cache: FleetCache | None, busy: Busy | None = None
) -> CompiledFiles | None:
    """Return the fleet that files describe; None where ``compile_fleet`` has to say what is wrong.

    Raises what ``source`` raises where files cannot be read.
    """
    kept = None if cache is None else CompiledFiles.kept(source, cache)
    if kept is not None:
        return kept
    # All that compiles takes longer to load than to answer from the cache.
    from reconciler.compiled.compilation import compile_all, compile_changed  # noqa: PLC0415
    from specs.compile.file import InvalidFileError  # noqa: PLC0415 - likewise

    try:
        found = None if cache is None else compile_changed(source, cache)
        if found is not None and source.is_draft:
            return found  # soon there will be another one
        if found is None:
            with busy(f"compiling {len(source.yaml):,} files") if busy else nullcontext():
                found = compile_all(source, cache)
    except InvalidFileError:
        return None
    if found is not None:
        found.keep(source.key)
    return found


def fleet_of_files(
    source: SourceFiles, revision: str, cache: FleetCache | None, busy: Busy | None = None
) -> CompiledFleet | None:
    """Return the same as a fleet under the name of a revision."""
    found = compile_files(source, cache, busy)
    try:
        return None if found is None else found.fleet(revision)
    except MissingRowsError:
        found = compile_files(source, None, busy)
        return None if found is None else found.fleet(revision)
