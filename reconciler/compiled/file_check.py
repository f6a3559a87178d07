"""Checking some files of a large repository as they are on the disk, before they are committed.

The other files are taken from a commit. Where that is compiled already, only what is
named is read; where anything is unusual, the whole is compiled to put it into words.
"""

import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.compiled.cache_error import CacheError
from reconciler.compiled.open import open_index
from reconciler.errors import SourceError
from reconciler.git.command import LINK, Entry
from reconciler.git.tree import MAX_FILE_BYTES, blob_id, refuse_too_large
from specs.desired_state import is_table

if TYPE_CHECKING:
    from reconciler.compiled.cache import FleetCache
    from reconciler.git.revision import Revision
    from reconciler.git.tree import SourceTree
    from specs.diagnostics.diagnostic import Diagnostic

_SHA1 = 40
"""Hexadecimal digits of an object's id, in repositories that are not of SHA-256."""


class FileCheck(NamedTuple):
    """What is wrong with the files that were named, and how much elsewhere."""

    diagnostics: "tuple[Diagnostic, ...]"
    """In the named files."""
    elsewhere: int
    """Errors in other files, which the named ones may have caused."""


def check_files(
    revision: "Revision", files: Mapping[str, bytes], cache: "FleetCache | None"
) -> FileCheck:
    """Return what ``files`` would be worth in the place of what the revision has there.

    Their names are paths in the revision's folder. Raises ``SourceError`` as
    ``Revision.read``.
    """
    warnings = _warnings(revision, files, cache)
    return check_whole(revision.read(), files) if warnings is None else _sorted_out(warnings, files)


def check_whole(source: "SourceTree", files: Mapping[str, bytes]) -> FileCheck:
    """Return the same by compiling everything; of files outside Git too."""
    from specs.compile.fleet import compile_fleet  # noqa: PLC0415 - slow to load, for what is unusual

    return _sorted_out(compile_fleet({**source.files, **files}, source.revision).diagnostics, files)


def _sorted_out(diagnostics: "Iterable[Diagnostic]", files: Mapping[str, bytes]) -> FileCheck:
    diagnostics = tuple(diagnostics)
    return FileCheck(
        diagnostics=tuple(each for each in diagnostics if each.position.file in files),
        elsewhere=sum(
            each.severity == "error" and each.position.file not in files for each in diagnostics
        ),
    )


def _warnings(
    revision: "Revision", files: Mapping[str, bytes], cache: "FleetCache | None"
) -> "tuple[Diagnostic, ...] | None":
    """Return the warnings of a sound fleet with these files; None where it has to be compiled."""
    entries = revision.git.blobs(revision.tree, files)
    after = {path: data for path, data in files.items() if not _is(entries.get(path), data)}
    if not after:
        return _committed_warnings(revision, cache)
    known = open_index(revision, cache)
    if known is None:
        return None
    old = {path: entry for path, entry in entries.items() if path in after}
    if cache is None or any(map(is_table, after)) or any(map(_is_link, old.values())):
        return None
    from reconciler.compiled.update import compile_update  # noqa: PLC0415 - slow to load

    contents = revision.contents(sorted({entry.id for entry in old.values()}), MAX_FILE_BYTES)
    before = {path: contents[entry.id] for path, entry in old.items()}
    try:
        update = compile_update(known, cache.groundwork(revision.tree), before, after)
    except CacheError:
        return None
    return None if update is None else update.warnings


def _committed_warnings(
    revision: "Revision", cache: "FleetCache | None"
) -> "tuple[Diagnostic, ...] | None":
    """Return the warnings of the fleet as it was committed; None where it is not sound."""
    if cache is not None:
        with suppress(CacheError):  # what is damaged is made again
            warnings = cache.warnings(revision.tree)
            if warnings is not None:
                return warnings
    known = open_index(revision, cache)
    return None if known is None else known.warnings


def _is(entry: Entry | None, data: bytes) -> bool:
    """Return whether a file is what the commit has there."""
    if entry is None or _is_link(entry):
        return False
    return entry.id == blob_id(data, "sha1" if len(entry.id) == _SHA1 else "sha256")


def _is_link(entry: Entry) -> bool:
    return entry.mode == LINK


def read_named(top: Path, paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Return the content of the files at ``paths`` by their names below ``top``.

    Raises ``SourceError``: RW912 for a path that is not below ``top`` or no file, RW714
    for a file that is too large.
    """
    real = top.resolve()
    files = {}
    for path in paths:
        place = path.resolve()
        if not place.is_relative_to(real):
            raise SourceError(
                "RW912", f"{path} is not in {top}", "Name files of the repository, or --repo"
            )
        name = place.relative_to(real).as_posix()
        try:
            state = place.stat()
            if not stat.S_ISREG(state.st_mode):
                raise SourceError("RW912", f"{path} is no file", "Name files, or none for all")
            refuse_too_large(name, state.st_size)
            files[name] = place.read_bytes()
        except OSError as error:
            raise SourceError(
                "RW912", f"{path} cannot be read: {error.strerror}", "Name a file that exists"
            ) from error
    return files
