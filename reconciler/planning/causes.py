"""Which lines of a branch cause what it changes of what is wanted of machines.

For each machine of which other work is wanted, the values are gone through along which that came:
the value's own place first, then what routes it to the machine (a group, a label, a selector). The
first of them that the branch changed, on a line that it changed, is the cause.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from reconciler.planning.changed_values import ChangedValue, ChangedValues
from reconciler.planning.groups import KEPT_NAMES
from reconciler.planning.item import RISKS, Risk
from reconciler.planning.wanted_work import (
    PROTECTION,
    UNSAID,
    WantedChange,
    WantedWork,
    Work,
    together,
)
from specs.diagnostics.path import Path, is_within
from specs.diagnostics.position import Position
from specs.fleet import Assignment, CompiledFleet, CompiledMachine

Place = tuple[str, str, Path]
"""Kind and name of a document, and a path in it."""
PLENTY = frozenset({"Machine", "Group"})
"""Kinds of which there are so many that equal changes of them are one cause."""
CLASSES = (Risk.DESTRUCTIVE, Risk.DISRUPTIVE, Risk.SAFE)
_GROUP: Path = ("spec", "group")
_ASSIGN: Path = ("spec", "assign")
_TARGETS: Path = ("spec", "targets")
_STEPS: Path = ("spec", "steps")
_OVERWRITING = ("restore", "install")


@dataclass(frozen=True, slots=True)
class Cause:
    """One change of a branch, and machines of which other work is wanted because of it."""

    risk: Risk
    """What it would do to each of them: DESTRUCTIVE, DISRUPTIVE or SAFE."""
    change: ChangedValue | None
    """None: nothing that the branch changed explains it."""
    is_exact: bool
    """Whether the change explains it; else it is the nearest one."""
    places: tuple[Position, ...]
    """Equal changes stand for one another, such as the cells of a column; the first places."""
    more_places: int
    before: str
    """What was wanted, as far as it differs."""
    after: str
    count: int
    names: tuple[str, ...]
    """The first machines."""
    disks: int
    """That would be overwritten, of machines on which something follows."""
    lifts: bool
    """Something does not stand before the work any more: protection, a hold."""
    idle: int
    """Machines on which, as far as is observed, nothing follows: what is wanted is done there."""

    @property
    def follows(self) -> bool:
        """Return whether work may follow on some of the machines."""
        return self.count > self.idle


class SettingChange(NamedTuple):
    """A change that asks for no other work: of a budget, a network, a window, a rule."""

    change: ChangedValue
    machines: int
    """How many of the branch's machines are within its reach."""


class WorkDifference(NamedTuple):
    """All work that is wanted otherwise."""

    causes: tuple[Cause, ...]
    """The largest risk first; a machine may have several."""
    counts: Mapping[Risk, int]
    """How many machines there are of each class, each counted by its largest."""
    disks: int
    """How many disks would be overwritten."""


class _Found(NamedTuple):
    change: ChangedValue | None
    is_exact: bool


class _Member(NamedTuple):
    """A machine with what is wanted otherwise of it, and why."""

    name: str
    change: WantedChange
    found: _Found


class _Pair(NamedTuple):
    """One machine in both revisions."""

    before: CompiledMachine | None
    after: CompiledMachine | None

    @property
    def other_board(self) -> bool:
        """Return whether the document speaks of other hardware than it did."""
        if self.before is None or self.after is None or self.before.macs == self.after.macs:
            return False
        return not {*self.before.hardware_identities} & {*self.after.hardware_identities}

    @property
    def name(self) -> str:
        return (self.after or self.before).name  # type: ignore[union-attr]

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the groups of both, the nearest first."""
        both = (reversed(each.groups) for each in (self.after, self.before) if each)
        return tuple(dict.fromkeys(chain.from_iterable(both)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels that differ."""
        was = self.before.labels if self.before else {}
        now = self.after.labels if self.after else {}
        return tuple(key for key in sorted({*was, *now}) if was.get(key) != now.get(key))


class Causes:
    """Finds the causes of what differs between two revisions."""

    def __init__(self, base: CompiledFleet, ours: CompiledFleet, values: ChangedValues) -> None:
        self._base = base
        self._ours = ours
        self._values = values
        self._selectors: dict[tuple[str, str], frozenset[str] | None] = {}

    def of_work(
        self,
        wanted: tuple[WantedWork, WantedWork],
        planned: Mapping[str, Risk] | None,
        protected: Collection[str] = (),
    ) -> WorkDifference:
        """Return all work that is wanted otherwise, with its causes.

        ``wanted`` is what the base and ours want. ``planned`` are the machines of which our plan
        says anything, with the largest risk of that; None where nobody made one. ``protected`` are
        those that an earlier revision protected, as far as is known.
        """
        members: defaultdict[tuple[Risk, object], list[_Member]] = defaultdict(list)
        counts, disks = dict.fromkeys(CLASSES, 0), 0
        for pair, change in self._changed(wanted):
            risks = []
            for part, found in self._parts(pair, change):
                each = _Member(pair.name, part, found)
                risks.append(_risk(part, pair.name, planned, protected))
                members[risks[-1], (_identity(each.found), part.texts)].append(each)
            largest = min(risks, key=CLASSES.index)
            counts[largest] += 1
            if largest is Risk.DESTRUCTIVE and _is_open(change, pair.name, planned):
                disks += change.disks
        causes = (_cause_of(risk, each, planned) for (risk, _), each in members.items())
        return WorkDifference(tuple(sorted(causes, key=_rank)), counts, disks)

    def _parts(self, pair: _Pair, change: WantedChange) -> Iterator[tuple[WantedChange, _Found]]:
        """Yield what a change consists of with the cause of each; what has one cause is one."""
        if pair.before is None or pair.after is None:
            yield change, self._cause(pair, change)
            return
        by_cause: defaultdict[object, list[tuple[WantedChange, _Found]]] = defaultdict(list)
        for part in change.parts:
            found = self._cause(pair, part)
            by_cause[_identity(found)].append((part, found))
        for several in by_cause.values():
            parts = [part for part, _ in several]
            yield change if len(by_cause) == 1 else together(parts), several[0][1]

    def of_field(self, name: str, field: str) -> ChangedValue | None:
        """Return what changed a field of a machine, named as in documents; None if not found."""
        pair = _Pair(self._base.machines.get(name), self._ours.machines.get(name))
        for kind, document, path in _places_of_field(pair, field):
            change = self._values.first(kind, document, path)
            if change is not None:
                return change
        return None

    def of_settings(self, causes: tuple[Cause, ...]) -> tuple[SettingChange, ...]:
        """Return what else differs in documents that are no machines."""
        used: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
        for change in (each.change for each in causes if each.change):
            used[change.kind, change.name].append(change.path)
        return tuple(
            SettingChange(change, self._reach[kind, name])
            for kind, name in self._values.names
            if kind not in {"Machine", "MachineTable"}
            for change in self._values.all(kind, name)
            if not any(_overlap(change.path, path) for path in used[kind, name])
        )

    def _changed(
        self, wanted: tuple[WantedWork, WantedWork]
    ) -> Iterator[tuple[_Pair, WantedChange]]:
        known: dict[tuple[object, object, bool], WantedChange | None] = {}
        was, now = wanted
        for name in sorted({*self._base.machines, *self._ours.machines}):
            before, after = self._base.machines.get(name), self._ours.machines.get(name)
            pair = _Pair(before, after)
            keys = was.key(before), now.key(after), pair.other_board
            if keys not in known:
                sides = was.of(keys[0], before), now.of(keys[1], after)
                both = WantedChange(*sides, other_board=pair.other_board)
                known[keys] = None if both.is_nothing else both
            change = known[keys]
            if change is not None:
                yield pair, change

    def _cause(self, pair: _Pair, change: WantedChange) -> _Found:
        documents: dict[tuple[str, str], None] = {}
        for kind, name, path in self._places(pair, change):
            found = self._values.first(kind, name, path)
            if found is not None:
                return _Found(found, is_exact=True)
            documents[kind, name] = None
        for kind, name in documents:
            found = self._values.first(kind, name, ())
            if found is not None:
                return _Found(found, is_exact=False)
        return _Found(self._any, is_exact=False)

    @cached_property
    def _any(self) -> ChangedValue | None:
        """Return the first change of all."""
        each = (self._values.first(kind, name, ()) for kind, name in self._values.names)
        return next(filter(None, each), None)

    def _places(self, pair: _Pair, change: WantedChange) -> Iterator[Place]:
        """Yield the places along which work came: of what does most harm first, then the nearest.

        A harmless change beside the one that matters must not stand for it.
        """
        if pair.before is None or pair.after is None:
            yield "Machine", pair.name, ()
        if change.other_board:
            yield "Machine", pair.name, ("spec", "hardware")
        aspects = [
            *((2, each) for each in change.removed),
            *((0 if change.new_disks(each) else 2, each) for each in change.added),
        ]
        barriers = self._places_of_barriers(pair, change)
        for rank in range(3):
            for _, work in (each for each in aspects if each[0] == rank):
                yield from self._places_of_work(pair, work)
            if rank == (1 if change.lifted else 2):
                yield from barriers

    def _places_of_work(self, pair: _Pair, work: Work) -> Iterator[Place]:
        if work.schedule:
            if self._differs(work.scenario):
                yield from self._places_of_scenario(work.scenario)
            yield from self._places_of_document(pair, "Schedule", work.schedule)
            yield from (each for each in self._calendars)
        elif work.policy:
            yield from self._places_of_policy(pair, work)
        else:
            key = work.scenario, work.run
            before, after = _assigned(pair.before), _assigned(pair.after)
            if key not in before or key not in after:
                yield from self._places_of_assignment(pair, after.get(key) or before[key])
        if work.scenario:
            yield from self._places_of_scenario(work.scenario)

    def _places_of_policy(self, pair: _Pair, work: Work) -> Iterator[Place]:
        """Yield the packages that differ, then what made the policy count for the machine."""
        for name in work.packages:
            was, now = self._base.packages.get(name), self._ours.packages.get(name)
            if was is None or now is None or was.digest != now.digest:
                yield "Package", name, ("spec",)
                yield "Package", name, ()
        yield from self._places_of_document(pair, "UpdatePolicy", work.policy)

    def _differs(self, scenario: str) -> bool:
        """Return whether both have a scenario, and other ones."""
        was, now = self._base.scenarios.get(scenario), self._ours.scenarios.get(scenario)
        return was is not None and now is not None and was.digest != now.digest

    @cached_property
    def _calendars(self) -> tuple[Place, ...]:
        """The calendars that differ; which schedules name them is not compiled."""
        names = (name for kind, name in self._values.names if kind == "Calendar")
        return tuple(("Calendar", name, ()) for name in names)

    def _places_of_barriers(self, pair: _Pair, change: WantedChange) -> Iterator[Place]:
        named = {*change.before.barriers} ^ {*change.after.barriers}
        lifted = [each for each in sorted(named) if each.key in change.lifted]
        for each in (*lifted, *sorted(named - {*lifted})):
            match each.kind:
                case "protect" | "power":
                    yield from _places_of_field(pair, each.kind)
                case "Hold":
                    yield from self._places_of_document(pair, "Hold", each.name)
                case "Scenario":
                    yield from self._places_of_scenario(each.name)

    def _places_of_assignment(self, pair: _Pair, each: Assignment) -> Iterator[Place]:
        machine = "Machine", pair.name
        said = {"run": each.run}
        if each.origin.giver:
            scenario = "Scenario", each.scenario
            yield from self._items(*scenario, _TARGETS, said)
            yield from self._places_of_selection(pair, *scenario)
            yield (*scenario, _TARGETS)
            return
        said["scenario"] = each.scenario
        if each.origin.path:
            giver = each.origin.path[0]
            if pair.after and giver not in pair.after.groups:
                yield (*machine, _GROUP)  # it left the group, whatever became of that
            yield from self._items("Group", giver, _ASSIGN, said)
            yield (*machine, _GROUP)
        else:
            yield from self._items(*machine, _ASSIGN, said)
        yield (*machine, _ASSIGN)
        yield from (("Group", group, _ASSIGN) for group in pair.groups)
        yield (*machine, _GROUP)

    def _places_of_scenario(self, name: str) -> Iterator[Place]:
        scenario = "Scenario", name
        for action in _OVERWRITING:
            yield from self._items(*scenario, _STEPS, {action: None})
        yield from ((*scenario, ("spec", part)) for part in ("steps", "options", "delivery"))

    def _places_of_document(self, pair: _Pair, kind: str, name: str) -> Iterator[Place]:
        """Yield what makes a document select a machine, and what else it says."""
        if self._values.is_one_sided(kind, name):
            yield kind, name, ()
        yield kind, name, ("spec", "select")
        yield from self._places_of_selection(pair, kind, name)
        yield kind, name, ("spec",)
        yield kind, name, ()

    def _items(
        self, kind: str, name: str, path: Path, said: Mapping[str, str | None]
    ) -> Iterator[Place]:
        """Yield the items of a list that say all of this; None stands for any value."""
        for index in self._values.items_that_say(kind, name, path, said):
            yield kind, name, (*path, index)

    def _places_of_selection(self, pair: _Pair, kind: str, name: str) -> Iterator[Place]:
        labels = pair.labels
        if labels:
            asked = self._asked_labels(kind, name)
            for key in labels if asked is None else (each for each in labels if each in asked):
                yield "Machine", pair.name, ("metadata", "labels", key)
                yield from (("Group", group, ("spec", "labels", key)) for group in pair.groups)
        yield "Machine", pair.name, _GROUP

    def _asked_labels(self, kind: str, name: str) -> frozenset[str] | None:
        if (kind, name) not in self._selectors:
            self._selectors[kind, name] = self._values.selector_labels(
                kind, name, self._file_of(kind, name)
            )
        return self._selectors[kind, name]

    def _file_of(self, kind: str, name: str) -> str:
        """Return the file of a document that selects machines; empty where ours has none."""
        if kind == "Scenario":
            found = self._ours.scenarios.get(name)
            return found.position.file if found else ""
        if kind == "Schedule":
            schedule = self._ours.schedules.get(name)
            return schedule.position.file if schedule else ""
        if kind == "UpdatePolicy":
            policy = self._ours.update_policies.get(name)
            return policy.position.file if policy else ""
        return next((each.position.file for each in self._ours.holds if each.name == name), "")

    @cached_property
    def _reach(self) -> Counter[tuple[str, str]]:
        """Return how many of our machines a document of a kind and name concerns."""
        found: Counter[tuple[str, str]] = Counter({("Fleet", ""): len(self._ours.machines)})
        for each in self._ours.machines.values():
            found.update(("Group", group) for group in each.groups)
            found.update({("Scenario", assigned.scenario) for assigned in each.assignments})
            found["Network", each.network] += 1
        return found


def _assigned(machine: CompiledMachine | None) -> dict[tuple[str, str], Assignment]:
    return {(each.scenario, each.run): each for each in machine.assignments} if machine else {}


def _places_of_field(pair: _Pair, field: str) -> Iterator[Place]:
    """Yield where a field of a machine may come from; it is named as in documents."""
    path = _path(field)
    yield "Machine", pair.name, path
    yield from (("Group", group, ("spec", *path[1:])) for group in pair.groups)
    yield "Machine", pair.name, _GROUP
    if pair.before is None or pair.after is None:
        yield "Machine", pair.name, ()
    yield "Fleet", "", ("spec", "defaults", *path[1:])
    for network in dict.fromkeys(each.network for each in pair if each):
        yield "Network", network, ("spec", path[-1])


def _path(field: str) -> Path:
    if field in {"labels", "displayName"}:
        return "metadata", field
    return "spec", *field.removesuffix("_settings").split(".")


def _risk(
    change: WantedChange,
    name: str,
    planned: Mapping[str, Risk] | None,
    protected: Collection[str],
) -> Risk:
    """Return what a change would do to a machine, given what our plan says of it."""
    if planned is None:
        return change.risk
    seen = planned.get(name)
    is_unsaid = change.lifted == (PROTECTION.key,) and UNSAID in change.after.barriers
    if is_unsaid and name in protected:
        return Risk.SAFE  # what an earlier revision protected stays so
    if change.risk is Risk.DISRUPTIVE and seen is Risk.SAFE:
        return Risk.SAFE  # nobody uses it
    return change.risk


def _overlap(one: Path, other: Path) -> bool:
    return is_within(one, other) or is_within(other, one)


def _identity(found: _Found) -> object:
    """Return what equal changes have in common: of machines and groups, the field."""
    change = found.change
    if change is None:
        return None
    subject = "" if change.kind in PLENTY else change.name
    return found.is_exact, change.kind, subject, change.shown, change.is_removed


def _cause_of(risk: Risk, members: list[_Member], planned: Mapping[str, Risk] | None) -> Cause:
    first = members[0]
    places = dict.fromkeys(each.found.change.position for each in members if each.found.change)
    before, after = first.change.texts
    open_ = [each for each in members if _is_open(each.change, each.name, planned)]
    return Cause(
        risk=risk,
        change=first.found.change,
        is_exact=first.found.is_exact,
        places=tuple(places)[:KEPT_NAMES],
        more_places=max(0, len(places) - KEPT_NAMES),
        before=before,
        after=after,
        count=len(members),
        names=tuple(each.name for each in members[:KEPT_NAMES]),
        disks=sum(each.change.disks for each in open_) if risk is Risk.DESTRUCTIVE else 0,
        lifts=bool(first.change.lifted),
        idle=len(members) - len(open_),
    )


def _is_open(change: WantedChange, name: str, planned: Mapping[str, Risk] | None) -> bool:
    """Return whether something may follow on a machine, as far as is planned."""
    return planned is None or name in planned or change.comes_again


def _rank(cause: Cause) -> tuple[object, ...]:
    place = cause.places[0] if cause.places else Position("", 0, 0)
    rank = RISKS.index(cause.risk), not cause.lifts, -cause.count
    return *rank, place, cause.before, cause.after
