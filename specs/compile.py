"""Compiling a revision: from the bytes of its files to a fleet, or to all that is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from specs.compiled import CompiledCommits, CompiledFleet
from specs.define import define
from specs.library import Library
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

if TYPE_CHECKING:
    from specs.definition import Definition

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


def may_hold_fleet(content: bytes) -> bool:
    """Tell whether a file can hold a Fleet document, without parsing it.

    YAML cannot write the word in other bytes than these but with an escape.
    """
    return b"Fleet" in content or b"\\" in content


def compile_commits(files: Mapping[str, bytes]) -> CompiledCommits | None:
    """Return by whom the commits after these files must be signed; None where they do not say.

    Only the Fleet document is looked at, so that many revisions can be asked; None
    means that something is wrong with it.
    """
    problems = Problems()
    nearest = NearestNames()
    definitions: list[Definition] = []
    for file in sorted(files):
        if is_desired_state(file) and may_hold_fleet(files[file]):
            loaded = load_file(file, files[file])
            problems.extend(loaded.problems)
            found = (define(document, Problems(), nearest) for document in loaded.documents)
            definitions += [each for each in found if each.kind == "Fleet"]
    fleets = Library(definitions, (), problems).of_kind("Fleet")
    unsound = any(each.broken or each.model is None for each in fleets.values())
    return None if problems.has_errors or unsound else compile_settings(fleets).commits


def compile_loaded(loaded: Iterable[LoadedFile], revision: str) -> CompileResult:
    """Return what files mean together that were loaded before, in the order of their names."""
    problems = Problems()
    nearest = NearestNames()
    definitions: list[Definition] = []
    unreadable: list[str] = []
    for file in loaded:
        problems.extend(file.problems)
        unreadable += file.unreadable
        definitions += [define(document, problems, nearest) for document in file.documents]
    library = Library(definitions, unreadable, problems)
    tree = GroupTree(library.of_kind("Group"), library)
    check_references(definitions, library, tree.names, problems, nearest)
    check_assignments(definitions, problems)
    check_uniqueness(library.of_kind("Machine").values(), problems)
    fleet = _compiled(library, tree, problems, revision)
    return CompileResult(None if problems.has_errors else fleet, problems.in_order())


def _compiled(
    library: Library, tree: GroupTree, problems: Problems, revision: str
) -> CompiledFleet:
    networks = compile_networks(library.of_kind("Network"), problems)
    return CompiledFleet(
        revision=revision,
        settings=compile_settings(library.of_kind("Fleet")),
        networks=networks,
        groups=tree.names,
        scenarios=compile_scenarios(library.of_kind("Scenario"), problems),
        images=compile_images(library.of_kind("Image")),
        machines=compile_machines(library.of_kind("Machine"), tree, networks, problems),
    )
