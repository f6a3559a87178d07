"""A part of a fleet's files, read and compiled by one process."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.compiled.claims import named
from reconciler.compiled.shard import FreshShard, Held, shards_of
from specs.compile.machine_context import (
    InvalidPartError,
    MachineContext,
    compile_part,
    machine_claims,
)
from specs.desired_state import is_desired_state
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.diagnostic import Diagnostic
from specs.diagnostics.nearest import NearestNames
from specs.prepared import Prepared
from specs.validate.document import define
from specs.validate.resource import Resource
from specs.yaml import LoadedFile, load_files

Files = Sequence[tuple[str, bytes]]


@dataclass
class Part:
    """Files, and the machines among what they define."""

    files: Files
    machines: list[Resource] = field(default_factory=list)
    compiled: list[Held] = field(default_factory=list)
    """What became of the machines, group by group."""


class Contents(NamedTuple):
    """What the files of a part define besides machines, and what its machines claim, in order."""

    others: tuple[Resource, ...]
    claims: "array[int]"
    warnings: tuple[Diagnostic, ...]


class CompiledPart(NamedTuple):
    """A part's machines, group by group."""

    shards: Mapping[str, FreshShard]
    warnings: tuple[Diagnostic, ...]
    selected: tuple[int, ...]
    """How many of the machines each selector of the surroundings means."""


def read(part: Part, _argument: object = None) -> Contents:
    """Read the files; UnsoundPartError when one of their documents has an error."""
    files = (each for each in part.files if is_desired_state(each[0]))
    others, warnings = define_all(load_files(files), part.machines, Prepared())
    return Contents(others, claims_of(part.machines), warnings)


def define_all(
    files: Iterable[LoadedFile], machines: list[Resource], prepared: Prepared
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """Add the machines that files declare, and return what else they do, and the warnings.

    ``prepared`` is for few files: of many, the models themselves are worth loading.
    UnsoundPartError when a document has an error.
    """
    diagnostics = Diagnostics()
    nearest = NearestNames()
    others: list[Resource] = []
    for loaded in files:
        # Its own problems: to ask all of them in each file would take the square of their number.
        if loaded.unreadable or any(each.severity == "error" for each in loaded.diagnostics):
            raise InvalidPartError("a file is not sound")
        if loaded.diagnostics:
            diagnostics.extend(loaded.diagnostics)
        for document in loaded.documents:
            resource = define(document, diagnostics, nearest, prepared)
            if resource.kind == "MachineTable":
                raise InvalidPartError(f"{resource.position} makes machines of other files")
            (machines if resource.kind == "Machine" else others).append(resource)
    if diagnostics.has_errors:
        raise InvalidPartError("a document is not sound")
    return tuple(others), diagnostics.in_order()


def claims_of(machines: Iterable[Resource]) -> "array[int]":
    """Return what machines claim, in order, so that all parts' claims are soon in order."""
    return array("Q", sorted(named(text for each in machines for text in machine_claims(each))))


def compiled(part: Part, context: MachineContext) -> CompiledPart:
    """Compile the machines that ``read`` found; UnsoundPartError when one has an error."""
    machines, warnings = compile_part(part.machines, context)
    selected = context.surroundings.selector_counts(machines.values())
    part.compiled = shards_of(machines.values())
    return CompiledPart({each.group: each for each, _ in part.compiled}, warnings, selected)
