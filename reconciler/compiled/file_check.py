"""Checking some files as they are on the disk, before they are committed."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from reconciler.compiled.cache import FleetCache
from reconciler.compiled.compile_files import compile_files, fleet_of_files
from reconciler.compiled.compiled_files import CompiledFiles, MissingRowsError
from reconciler.compiled.source import SourceFiles
from reconciler.errors import SourceError
from reconciler.git.tree import refuse_too_large
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import CompiledFleet, CompiledMachine

Further = Callable[[CompiledFleet, Iterable[CompiledMachine]], Iterable[Diagnostic]]
"""Finds what else to tell of a valid fleet, given all of it but machines, and those by name.

They take long to read in a large fleet: it should not ask for them in vain.
"""


def _nothing_further(
    _fleet: CompiledFleet, _machines: Iterable[CompiledMachine]
) -> Iterable[Diagnostic]:
    return ()


class FileCheck(NamedTuple):
    """What is wrong with the files that were named, and how much elsewhere."""

    diagnostics: tuple[Diagnostic, ...]
    """In the named files."""
    elsewhere: int
    """Errors in other files, which the named ones may have caused."""


def check_files(
    source: SourceFiles,
    files: Mapping[str, bytes],
    cache: FleetCache | None,
    further: Further = _nothing_further,
) -> FileCheck:
    """Return what ``files`` would be worth in the place of what the source has there.

    Their names are paths of the source. Raises ``SourceError`` where the source cannot be
    read.
    """
    diagnostics = check_source(source.replaced(files), cache, further).diagnostics
    return FileCheck(
        diagnostics=tuple(each for each in diagnostics if each.position.file in files),
        elsewhere=sum(
            each.severity == "error" and each.position.file not in files for each in diagnostics
        ),
    )


class FleetCheck(NamedTuple):
    """What a repository says."""

    diagnostics: tuple[Diagnostic, ...]
    """By file, line and column."""
    valid: bool
    """Whether none of them is an error."""
    machines: int = 0
    scenarios: int = 0


def check_source(
    source: SourceFiles, cache: FleetCache | None, further: Further = _nothing_further
) -> FleetCheck:
    """Return what is wrong with the files of a source; raises as ``check_files``."""
    found = compile_files(source, cache)
    if found is not None:
        more = further(found.base, _machines(found, source))
        return FleetCheck(
            diagnostics=_in_order(found.warnings, more),
            valid=True,
            machines=found.machine_count,
            scenarios=len(found.base.scenarios),
        )
    from specs.compile.fleet import compile_fleet  # noqa: PLC0415 - slow to load

    result = compile_fleet(source.everything(), source.key)
    fleet = result.fleet
    more = further(fleet, fleet.machines.values()) if fleet else ()
    return FleetCheck(
        diagnostics=_in_order(result.diagnostics, more),
        valid=fleet is not None,
        machines=len(fleet.machines) if fleet else 0,
        scenarios=len(fleet.scenarios) if fleet else 0,
    )


def _in_order(*parts: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted((each for part in parts for each in part), key=lambda each: each.sort_key))


def _machines(found: CompiledFiles, source: SourceFiles) -> Iterator[CompiledMachine]:
    """Yield the machines of files once they are asked for."""
    try:
        fleet: CompiledFleet | None = found.fleet("")
    except MissingRowsError:
        fleet = fleet_of_files(source, "", None)
    if fleet is not None:
        yield from fleet.machines.values()


def read_named(top: Path, paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Return the content of the files at ``paths`` by their names below ``top``.

    Raises ``SourceError``: RW912 for a folder, a path that is not below ``top`` or no file, RW714
    for a file that is too large.
    """
    real = top.resolve()
    files = {}
    for path in paths:
        place = path.resolve()
        if place.is_dir():
            command = f"rackwright validate --repo {quote(str(path))}"
            raise SourceError("RW912", f"{path} is a folder", f"`{command}` checks all of it")
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
