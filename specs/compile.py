"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from specs.compiled import CompiledFleet, CompiledMachine, CompiledNetwork
from specs.define import define
from specs.definition import Definition
from specs.library import Library
from specs.machine_context import MachineContext, UnsoundPartError, machine_context
from specs.nearest import NearestNames
from specs.problem import Problem
from specs.problems import Problems
from specs.references import check_references
from specs.resolve.assignments import check_assignments
from specs.resolve.group_tree import GroupTree
from specs.resolve.machines import compile_machines
from specs.resolve.networks import compile_networks
from specs.resolve.scenarios import compile_images, compile_scenarios
from specs.resolve.settings import compile_settings
from specs.source import LoadedFile, load_file
from specs.uniqueness import check_uniqueness

SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What a revision says. ``fleet`` is None when one of the problems is an error."""

    fleet: CompiledFleet | None
    problems: tuple[Problem, ...]
    """By file, line and column."""


def is_desired_state(file: str) -> bool:
    """Return whether a file of the repository is read: YAML, and not in a hidden place.

    Whatever begins with a dot (``.github/workflows/ci.yaml``) belongs to other tools.
    """
    path = PurePosixPath(file)
    if any(part.startswith(".") for part in path.parts):
        return False
    return path.suffix in SUFFIXES


def compile_fleet(files: Mapping[str, bytes], revision: str) -> CompileResult:
    """Return the fleet that the files describe, or None and every problem they have.

    ``files`` maps paths within the repository to content; those that are not
    desired state are ignored. ``revision`` names the content for people. Never
    raises because of what the files hold.
    """
    loaded = [load_file(file, files[file]) for file in sorted(files) if is_desired_state(file)]
    return compile_loaded(loaded, revision)


def compile_loaded(loaded: Iterable[LoadedFile], revision: str) -> CompileResult:
    """Return what files mean together that were loaded before, in the order of their names."""
    definitions: list[Definition] = []
    unreadable: list[str] = []
    problems = Problems()
    nearest = NearestNames()
    for file in loaded:
        problems.extend(file.problems)
        unreadable += file.unreadable
        definitions += [define(document, problems, nearest) for document in file.documents]
    parts = _Parts(definitions, unreadable, problems)
    check_references(definitions, parts.library, parts.tree.names, problems, nearest)
    check_assignments(definitions, problems)
    check_uniqueness(parts.library.of_kind("Machine").values(), problems)
    networks = compile_networks(parts.library.of_kind("Network"), problems)
    machines = compile_machines(parts.library.of_kind("Machine"), parts.tree, networks, problems)
    fleet = parts.fleet(revision, networks, machines)
    return CompileResult(None if problems.has_errors else fleet, problems.in_order())


def compile_surroundings(
    definitions: Sequence[Definition], problems: Problems, revision: str
) -> tuple[CompiledFleet, MachineContext]:
    """Return the fleet that sound documents make without its machines, and what these need.

    ``definitions`` are all but the machines. UnsoundPartError when there is an error:
    ``compile_fleet`` puts it into words.
    """
    if any(definition.broken or definition.model is None for definition in definitions):
        raise UnsoundPartError("a document is not sound")
    parts = _Parts(definitions, (), problems)
    check_references(definitions, parts.library, parts.tree.names, problems, NearestNames())
    check_assignments(definitions, problems)
    networks = compile_networks(parts.library.of_kind("Network"), problems)
    fleet = parts.fleet(revision, networks, {})
    if problems.has_errors:
        raise UnsoundPartError("the documents have an error")
    return fleet, machine_context(parts.library, parts.tree, networks)


class _Parts:
    """The documents of a revision, and the fleet that they make."""

    def __init__(
        self, definitions: Sequence[Definition], unreadable: Sequence[str], problems: Problems
    ) -> None:
        self._problems = problems
        self.library = Library(definitions, unreadable, problems)
        self.tree = GroupTree(self.library.of_kind("Group"), self.library)

    def fleet(
        self,
        revision: str,
        networks: Mapping[str, CompiledNetwork],
        machines: Mapping[str, CompiledMachine],
    ) -> CompiledFleet:
        """Return the fleet; problems are reported on the way."""
        of_kind = self.library.of_kind
        return CompiledFleet(
            revision=revision,
            settings=compile_settings(of_kind("Fleet")),
            networks=networks,
            groups=self.tree.names,
            scenarios=compile_scenarios(of_kind("Scenario"), self._problems),
            images=compile_images(of_kind("Image")),
            machines=machines,
        )
