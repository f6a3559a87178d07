"""Compiling the files of a fleet: all of them, or those that the cache does not have."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from reconciler.compiled.cache import File, FleetCache
from reconciler.compiled.codec import dumps
from reconciler.compiled.compiled_files import CompiledFiles, MissingRowsError
from reconciler.compiled.rows import FileFacts, FileRows, are_unique
from reconciler.compiled.source import SourceFiles
from reconciler.compiled.version import program_version
from reconciler.compiled.workers import (
    Others,
    compile_everything,
    context_of,
    others_of,
    rows_of,
)
from specs.compile.file import InvalidFileError, read_file
from specs.compile.fleet import CompiledContext
from specs.compile.selectors import warn_of_unmatched
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames

_MOST_CHANGES = 500
_MOST_CHANGED_BYTES = 1 << 21
"""Files, and bytes of them, beyond which compiling everything by all processors is quicker."""


def compile_all(source: SourceFiles, cache: FleetCache | None) -> CompiledFiles | None:
    """Compile all files; InvalidFileError where one is not valid."""
    contents = source.read(source.yaml)
    compiled = compile_everything(list(contents.items()), source.tables())
    base = context_of({path: each.facts.others for path, each in compiled.items()})
    rows = {(path, blob): compiled[path] for path, blob in source.yaml.items()}
    facts = {file: each.facts for file, each in rows.items()}
    return _united(source, cache, base, facts, rows)


def compile_changed(source: SourceFiles, cache: FleetCache) -> CompiledFiles | None:
    """Compile the files that the cache does not have; None where more has to be compiled.

    InvalidFileError where one is not valid.
    """
    kept = cache.facts()
    known = {file: facts.others for files in kept.values() for file, facts in files.items()}
    missing = [file for file in source.yaml.items() if file not in known]
    if not kept or len(missing) > _MOST_CHANGES:
        return None
    contents = source.read(path for path, _ in missing)
    if sum(map(len, contents.values())) > _MOST_CHANGED_BYTES:
        return None
    read = {(path, blob): read_file(path, contents[path]) for path, blob in missing}
    others = {path: known.get((path, blob), ()) for path, blob in source.yaml.items()}
    others |= {path: others_of(found) for (path, _), found in read.items()}
    here = kept.get(_context_digest(source, others), {})
    facts = {file: here[file] for file in source.yaml.items() if file in here}
    if len(facts.keys() | read.keys()) < len(source.yaml):
        return None  # what machines are compiled against has changed
    base = context_of(others)
    has_tables = any(each.kind == "MachineTable" for one in read.values() for each in one.machines)
    tables = source.tables() if has_tables else {}
    rows = {file: rows_of(found, base.context, tables) for file, found in read.items()}
    facts |= {file: each.facts for file, each in rows.items()}
    return _united(source, cache, base, facts, rows)


def _united(
    source: SourceFiles,
    cache: FleetCache | None,
    base: CompiledContext,
    facts: Mapping[File, FileFacts],
    rows: Mapping[File, FileRows],
) -> CompiledFiles | None:
    """Return what all files mean together; None where the cache lost some of them meanwhile.

    InvalidFileError where they do not fit together.
    """
    if not are_unique(facts.values()):
        raise InvalidFileError("two files say the same")
    warnings = {*base.warnings, *(warning for each in facts.values() for warning in each.warnings)}
    found = CompiledFiles(
        base=base.fleet,
        warnings=(),
        machine_count=sum(each.machine_count for each in facts.values()),
        context=_context_digest(source, {path: each.others for (path, _), each in facts.items()}),
        files=source.yaml,
        cache=cache,
        rows=rows,
    )
    counts = map(sum, zip(*(each.selected for each in facts.values()), strict=True))
    unmatched = base.context.unmatched(tuple(counts)) if facts else []
    if unmatched:
        try:
            machines = found.fleet("").machines
        except MissingRowsError:
            return None
        diagnostics = Diagnostics()
        groups = base.context.groups
        warn_of_unmatched(unmatched, machines, groups, diagnostics, NearestNames())
        warnings |= {*diagnostics.in_order()}
    return replace(found, warnings=tuple(sorted(warnings, key=lambda each: each.sort_key)))


def _context_digest(source: SourceFiles, others: Others) -> str:
    """Return what changes with anything that machines are compiled against, or with the code."""
    written = [[path, others[path]] for path in sorted(others) if others[path]]
    text = dumps([program_version(), dict(source.csv), written])
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
