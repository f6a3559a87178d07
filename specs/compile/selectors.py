"""Selectors of documents: what they match, and those that match nothing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.quote import quoted
from specs.fleet import CompiledHold, CompiledMachine, CompiledSelector
from specs.kinds.hold import Hold
from specs.kinds.schedule import Schedule
from specs.kinds.selector import Selector
from specs.kinds.update_policy import UpdatePolicy
from specs.selection import Selection
from specs.types.pattern import is_pattern
from specs.validate.registry import Registry
from specs.validate.resource import Resource

_SELECT: Path = ("spec", "select")


@dataclass(frozen=True, slots=True, eq=False)
class WrittenSelector:
    """A selector where it stands."""

    resource: Resource
    path: Path
    selector: CompiledSelector
    selection: Selection


def written_selector(
    resource: Resource, path: Path, model: Selector, groups: Iterable[str]
) -> WrittenSelector:
    """Return what a document selects at ``path``; ``groups`` are all of the fleet."""
    selector = compiled_selector(model)
    return WrittenSelector(resource, path, selector, Selection(selector, groups))


def compiled_selector(model: Selector) -> CompiledSelector:
    """Return what a document selects."""
    return CompiledSelector(model.machines, model.groups, dict(sorted(model.labels.items())))


def selectors_of_documents(
    registry: Registry, groups: Iterable[str]
) -> tuple[WrittenSelector, ...]:
    """Return the selectors of all documents that have one as a whole."""
    return tuple(
        written_selector(resource, _SELECT, resource.model.spec.select, groups)
        for kind in ("Hold", "Schedule", "UpdatePolicy")
        for resource in registry.of_kind(kind).values()
        if isinstance(resource.model, Hold | Schedule | UpdatePolicy)
    )


def compile_holds(selectors: Iterable[WrittenSelector]) -> tuple[CompiledHold, ...]:
    """Return the holds among the selectors' documents, in the order of names."""
    return tuple(
        CompiledHold(
            name=each.resource.name,
            until=model.spec.until,
            owner=model.spec.owner,
            reason=model.spec.reason,
            position=each.resource.position,
        )
        for each in selectors
        if isinstance(model := each.resource.model, Hold)
    )


def warn_of_unmatched(
    selectors: Iterable[WrittenSelector],
    machines: Mapping[str, CompiledMachine],
    groups: Iterable[str],
    diagnostics: Diagnostics,
    nearest: NearestNames,
) -> None:
    """Report selectors that match no machine, with what they probably meant."""
    known = frozenset(groups)
    for each in selectors:
        guesses = _guesses(each.selector, machines, known, nearest)
        diagnostics.warning(
            each.resource.document.position(each.path),
            Code.NOTHING_SELECTED,
            f"{dotted(each.path)}: no machine matches",
            next(guesses, "all parts must match one machine; each alone matches some"),
        )


def _guesses(
    selector: CompiledSelector,
    machines: Mapping[str, CompiledMachine],
    groups: frozenset[str],
    nearest: NearestNames,
) -> Iterator[str]:
    """Yield a hint for each name in the selector that nothing has."""
    for name in selector.machines:
        if not is_pattern(name) and name not in machines:
            yield _hint("machine", name, nearest.find(name, machines))
    for group in selector.groups:
        if not is_pattern(group) and group not in groups:
            yield _hint("group", group, nearest.find(group, groups))
    for key, values in selector.labels.items():
        existing = {each.labels[key] for each in machines.values() if key in each.labels}
        if not existing:
            keys = {name for each in machines.values() for name in each.labels}
            yield _hint("label", key, nearest.find(key, keys))
        elif not existing.intersection(values):
            value = values[0]
            yield _hint(f"label {key} of value", value, nearest.find(value, existing))
    for pattern in (*selector.machines, *selector.groups):
        one = (
            CompiledSelector(machines=(pattern,))
            if pattern in selector.machines
            else (CompiledSelector(groups=(pattern,)))
        )
        selection = Selection(one, groups)
        if not any(selection.matches(each.name, each.group, {}) for each in machines.values()):
            yield f"nothing fits {quoted(pattern)}"


def _hint(noun: str, name: str, meant: str | None) -> str:
    guess = f"; did you mean {quoted(meant)}?" if meant else ""
    return f"there is no {noun} {quoted(name)}{guess}"
