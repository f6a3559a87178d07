"""What one revision changes against another, on the same observations."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter

from reconciler.planning.causes import CLASSES, Cause, Causes, SettingChange
from reconciler.planning.changed_values import ChangedValue, ChangedValues
from reconciler.planning.groups import KEPT_NAMES
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import (
    EXIT_NOTHING,
    EXIT_RISKY,
    SEVERITY,
    Plan,
    exit_code,
    plan_of,
)
from reconciler.planning.protection import WAS_PROTECTED
from reconciler.planning.wanted_work import WantedWork
from specs.fleet import MACHINE_FIELDS, Assignment, CompiledFleet, CompiledMachine

_IN_DOCUMENTS = {field.attribute: field.name for field in MACHINE_FIELDS}
_DERIVED = frozenset({"name", "groups", "origins"})
_COMPARED = tuple(each.name for each in fields(CompiledMachine) if each.name not in _DERIVED)
_values_of = attrgetter(*_COMPARED)
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
    change: ChangedValue | None = None
    """What the branch changed of the first machine's; None where that is not found."""


@dataclass(frozen=True, slots=True)
class WantedDifference:
    """What a revision changes of what is wanted, whatever was observed."""

    causes: tuple[Cause, ...]
    """The largest risk first."""
    settings: tuple[SettingChange, ...]
    fields: tuple[FieldChange, ...]
    counts: Mapping[Risk, int]
    """On how many machines other work of each class is wanted; each machine counts once."""
    disks: int
    """How many disks that would overwrite."""

    @property
    def empty(self) -> bool:
        """Return whether the same is wanted and meant."""
        return not (self.causes or self.settings or self.fields)

    @property
    def exit_code(self) -> int:
        """Return 3 where work that overwrites or interrupts follows, else 0."""
        risky = (each for each in self.causes if each.risk is not Risk.SAFE)
        return EXIT_RISKY if any(each.follows for each in risky) else EXIT_NOTHING


@dataclass(frozen=True, slots=True)
class Difference:
    """What merging our revision would change of what is planned now."""

    introduced: Plan
    """What only our plan has, and what it has otherwise (``changed``); its revision is ours."""
    resolved: Plan
    """What only the base's plan has; its revision is the base's."""
    changed: tuple[tuple[PlanItem, PlanItem], ...]
    """Work on the same machine that both plans have, but not the same work: before and after."""
    wanted: WantedDifference
    base_errors: str = ""
    """What is wrong with the base, a problem on a line; then nothing could be compared."""

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Return the effective fields of machines that differ."""
        return self.wanted.fields

    @property
    def empty(self) -> bool:
        """Return whether the revisions plan and mean the same."""
        planned = not (self.introduced.empty and self.resolved.empty)
        return not planned and self.wanted.empty and not self.base_errors

    @property
    def exit_code(self) -> int:
        """Return that of what is introduced, and 3 where wanted work overwrites or interrupts."""
        return max(exit_code(self.introduced), self.wanted.exit_code, key=SEVERITY.index)


def difference(
    ours: Plan,
    base: Plan,
    our_fleet: CompiledFleet,
    base_fleet: CompiledFleet,
    values: ChangedValues,
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
        wanted=wanted_difference(base_fleet, our_fleet, values, ours.made_at, ours),
    )


def repair(ours: Plan, base_revision: str, base_errors: str) -> Difference:
    """Return all that is planned, as what a branch introduces whose base has errors."""
    nothing = plan_of(base_revision, ours.made_at, (), ours.budget)
    wanted = WantedDifference((), (), (), dict.fromkeys(CLASSES, 0), 0)
    return Difference(ours, nothing, (), wanted, base_errors)


def wanted_difference(
    base: CompiledFleet,
    ours: CompiledFleet,
    values: ChangedValues,
    now: datetime,
    made: Plan | None = None,
) -> WantedDifference:
    """Compare what two revisions want; ``made`` is our plan, where somebody made one."""
    causes = Causes(base, ours, values)
    of_work = causes.of_work(
        (WantedWork(base, now), WantedWork(ours, now)),
        None if made is None else _risks(made),
        () if made is None else _protected_before(made),
    )
    return WantedDifference(
        causes=of_work.causes,
        settings=causes.of_settings(of_work.causes),
        fields=tuple(
            replace(each, change=causes.of_field(each.names[0], each.field))
            for each in field_changes(ours, base)
        ),
        counts=of_work.counts,
        disks=of_work.disks,
    )


def _risks(plan: Plan) -> dict[str, Risk]:
    """Return the largest risk of each machine of which a plan says anything."""
    found: dict[str, Risk] = {}
    for each in plan.groups:  # the largest risk first
        for item in each.items:
            found.setdefault(item.machine, item.risk)
    return found


def _protected_before(plan: Plan) -> frozenset[str]:
    """Return the machines that nothing overwrites because an earlier revision protected them."""
    return frozenset(
        item.machine
        for each in plan.groups
        if each.risk is Risk.BLOCKED
        for item in each.items
        if item.reason.startswith(WAS_PROTECTED)
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
    ours: Mapping[str, CompiledMachine], base: Mapping[str, CompiledMachine], machine: str
) -> Iterator[tuple[str, str, str]]:
    after, before = ours.get(machine), base.get(machine)
    if after is None or before is None:
        states = (_ABSENT if before is None else _PRESENT, _ABSENT if after is None else _PRESENT)
        yield "machine", *states
        return
    values = _values_of(before), _values_of(after)
    if values[0] == values[1]:
        return
    for name, was, now in zip(_COMPARED, *values, strict=True):
        if was != now and (texts := (_text(was), _text(now)))[0] != texts[1]:
            yield _IN_DOCUMENTS.get(name, name), *texts


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
