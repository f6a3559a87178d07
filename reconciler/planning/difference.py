"""What one revision changes against another, on the same observations."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter

from reconciler.planning.groups import KEPT_NAMES
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan, plan_of
from specs.fleet import MACHINE_FIELDS, Assignment, CompiledFleet, CompiledMachine

_IN_DOCUMENTS = {field.attribute: field.name for field in MACHINE_FIELDS}
_FOR_PEOPLE = attrgetter(*(each.attribute for each in MACHINE_FIELDS if each.said.for_people))
"""What people read and no digest has."""
_DERIVED = frozenset({"name", "groups", "origins"})
_ABSENT, _PRESENT = "absent", "present"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of machines whose effective value differs, and on how many in the same way."""

    field: str
    """In the words of documents; ``machine`` where one appears or goes."""
    before: str
    after: str
    count: int
    names: tuple[str, ...]
    """The first machines."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What merging our revision would change of what is planned now."""

    introduced: Plan
    """What only our plan has, and what it has otherwise (``changed``); its revision is ours."""
    resolved: Plan
    """What only the base's plan has; its revision is the base's."""
    changed: tuple[tuple[PlanItem, PlanItem], ...]
    """Work on the same machine that both plans have, but not the same work: before and after."""
    fields: tuple[FieldChange, ...]

    @property
    def empty(self) -> bool:
        """Return whether the revisions plan and mean the same."""
        return self.introduced.empty and self.resolved.empty and not self.fields


def difference(
    ours: Plan, base: Plan, our_fleet: CompiledFleet, base_fleet: CompiledFleet
) -> Difference:
    """Compare two plans that were made from the same observations."""
    before = _by_work(base.items)
    introduced: list[PlanItem] = []
    changed: list[tuple[PlanItem, PlanItem]] = []
    for key, item in _by_work(ours.items).items():
        known = before.pop(key, None)
        if known is None:
            introduced.append(item)
        elif (known.line, known.reason) != (item.line, item.reason):
            introduced.append(item)
            changed.append((known, item))
    return Difference(
        introduced=plan_of(ours.revision, ours.made_at, introduced, ours.budget),
        resolved=plan_of(base.revision, base.made_at, before.values(), base.budget),
        changed=tuple(changed),
        fields=field_changes(our_fleet, base_fleet),
    )


def _by_work(items: Iterable[PlanItem]) -> dict[tuple[str, str, int], PlanItem]:
    """Return items by machine, scenario and place among those: what stays the same work."""
    found: dict[tuple[str, str, int], PlanItem] = {}
    for item in items:
        scenario = item.operation.scenario if item.operation else item.action
        place = 0
        while (item.name, scenario, place) in found:
            place += 1
        found[item.name, scenario, place] = item
    return found


def field_changes(ours: CompiledFleet, base: CompiledFleet) -> tuple[FieldChange, ...]:
    """Return how machines' effective fields differ, the most machines first."""
    machines: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name in sorted({*ours.machines, *base.machines}):
        for change in _machine_changes(ours.machines, base.machines, name):
            machines[change].append(name)
    return tuple(
        FieldChange(*change, count=len(names), names=tuple(names[:KEPT_NAMES]))
        for change, names in sorted(machines.items(), key=lambda each: (-len(each[1]), each[0]))
    )


def _machine_changes(
    ours: Mapping[str, CompiledMachine], base: Mapping[str, CompiledMachine], name: str
) -> Iterator[tuple[str, str, str]]:
    after, before = ours.get(name), base.get(name)
    if after is None or before is None:
        states = (_ABSENT if before is None else _PRESENT, _ABSENT if after is None else _PRESENT)
        yield "machine", *states
        return
    if (after.digest, _FOR_PEOPLE(after)) == (before.digest, _FOR_PEOPLE(before)):
        return
    for field in fields(CompiledMachine):
        if field.name in _DERIVED:
            continue
        was, now = _text(getattr(before, field.name)), _text(getattr(after, field.name))
        if was != now:
            yield _IN_DOCUMENTS.get(field.name, field.name), was, now


def _text(value: object) -> str:
    if isinstance(value, Assignment):
        return f"{value.scenario} run {value.run}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value)) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    return "not set" if value is None else str(value) or "none"
