"""What one revision wants of a machine, and what a change of that would do to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, takewhile
from typing import Literal, NamedTuple

from reconciler.planning.item import Risk
from reconciler.planning.system_work import does, shortened
from specs.diagnostics.position import Position
from specs.fleet import (
    BackupStep,
    CompiledFleet,
    CompiledMachine,
    CompiledScenario,
    RestoreStep,
    ScenarioStep,
    SystemStep,
    UnsupportedStep,
)

_OVERWRITES = frozenset({"install"})
"""Steps that nothing carries out yet, and that overwrite a disk."""
_NOWHERE = Position("", 0, 0)
NOTHING = "nothing"
SAME = "the same, done otherwise"
OTHER_BOARD = "on the hardware of another machine: "


class Work(NamedTuple):
    """Something that a machine shall have done."""

    schedule: str
    """Empty: it is assigned."""
    scenario: str
    """Empty where a schedule is about power."""
    run: str
    does: str
    """``writes debian12``."""
    writes: tuple[ScenarioStep, ...]
    """The steps that overwrite disks."""
    interrupts: bool
    meaning: str
    """Whatever else makes it other work."""
    bringing_forward: str = ""
    """What decides when a machine is interrupted for it."""
    saves: tuple[ScenarioStep, ...] = ()
    """The steps that keep a disk before anything is overwritten."""
    is_blocked: bool = False
    """It would overwrite disks, and its schedule is not approved to."""
    policy: str = ""
    """The update policy by which the machine does it by itself; empty where none says it."""
    packages: tuple[str, ...] = ()
    """What the machine installs by that policy."""

    @property
    def title(self) -> tuple[str, str, str]:
        """Return what it stays the same work by, whatever it does."""
        return self.schedule, self.scenario, self.run

    def __str__(self) -> str:
        """Return it for people: ``clone-golden run 1 writes debian12``."""
        run = f"run {self.run}" if self.run else ""
        schedule = f"schedule {self.schedule}" if self.schedule else ""
        schedule = schedule or (f"policy {self.policy}" if self.policy else "")
        blocked = "(not approved)" if self.is_blocked else ""
        return " ".join(filter(None, (schedule, self.scenario, run, self.does, blocked)))


class Barrier(NamedTuple):
    """What keeps work from a machine."""

    kind: Literal["protect", "power", "Hold", "Scenario"]
    """The machine's field, or the kind of the document that says so."""
    name: str
    detail: str
    """Which of several of that document."""
    terms: str
    """For people."""
    until: datetime | None = None
    """When it ends by itself; None for never."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what it stays the same barrier by, whatever its terms."""
        return self.kind, self.name, self.detail


PROTECTION = Barrier("protect", "", "", "protected")
UNSAID = Barrier("protect", "", "unsaid", "protected if an earlier revision said so")
"""Where nothing says that a machine is protected or is not, what was said before still holds."""


class Wanted(NamedTuple):
    """What is wanted of a machine, and what stands before it."""

    work: tuple[Work, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    """Protection, holds, what cannot be done yet."""


@dataclass(frozen=True)
class WantedChange:
    """How what is wanted of machines differs."""

    before: Wanted
    after: Wanted
    other_board: bool = False
    """The document has the hardware of another machine now: whatever it wants is done to that."""

    @property
    def is_nothing(self) -> bool:
        """Return whether the same is wanted, or no work, whatever would stand before it."""
        is_same = self.before == self.after and not (self.other_board and self.after.work)
        return is_same or not (self.before.work or self.after.work)

    @cached_property
    def parts(self) -> "tuple[WantedChange, ...]":
        """The change, one scenario or schedule after the other, then what stands before all work.

        Each has a cause of its own.
        """
        changed = dict.fromkeys(each.title[:2] for each in (*self.added, *self.removed))
        parts = [
            WantedChange(
                Wanted(_of(self.before.work, title), self.after.barriers),
                Wanted(_of(self.after.work, title), self.after.barriers),
            )
            for title in changed
        ]
        parts.append(
            WantedChange(
                Wanted(self.after.work, self.before.barriers),
                Wanted(self.after.work, self.after.barriers),
            )
        )
        found = tuple(each for each in parts if not each.is_nothing)
        return found if len(found) > 1 and not self.other_board else (self,)

    @cached_property
    def added(self) -> tuple[Work, ...]:
        """Work that is wanted now, or wanted otherwise."""
        if self.other_board:
            return self.after.work
        return tuple(each for each in self.after.work if each not in self.before.work)

    @cached_property
    def removed(self) -> tuple[Work, ...]:
        """Likewise before."""
        return tuple(each for each in self.before.work if each not in self.after.work)

    @cached_property
    def lifted(self) -> tuple[tuple[str, str, str], ...]:
        """The keys of what no longer stands before the work."""
        left = {each.key for each in self.after.barriers}
        kept = {UNSAID.key} if PROTECTION in self.after.barriers else set()
        gone = [
            each.key
            for each in self.before.barriers
            if not each.until and each.key not in left | kept
        ]
        # Of several holds, the last to end decides.
        last = max((each.until for each in self.after.barriers if each.until), default=None)
        held = ((each.key, each.until) for each in self.before.barriers if each.until)
        return (*gone, *(key for key, until in held if last is None or until > last))

    @property
    def _is_freed(self) -> bool:
        """Whether work may overwrite that might not before."""
        return bool(self.lifted) and PROTECTION not in self.after.barriers

    @cached_property
    def risk(self) -> Risk:
        """What the change would do to a machine, as far as nobody looks at it."""
        if self.disks:
            return Risk.DESTRUCTIVE
        if any(self._interrupts(each) for each in self._begins):
            return Risk.DISRUPTIVE
        return Risk.SAFE

    @cached_property
    def disks(self) -> int:
        """How many disks of a machine would be overwritten that would not be before."""
        return sum(
            len(each.writes) if self._is_freed and not each.is_blocked else self.new_disks(each)
            for each in self._begins
        )

    def new_disks(self, work: Work) -> int:
        """Return how many disks work overwrites that it did not before, or otherwise.

        Otherwise is: by something else, without the backup of before, or at other times.
        """
        if work.is_blocked:
            return 0
        same = (each for each in self.before.work if each.title == work.title)
        known = [] if self.other_board else [each for each in same if not each.is_blocked]
        for each in known:
            loses_backup = not set(each.saves) <= set(work.saves)
            is_moved = bool(work.schedule) and each.bringing_forward != work.bringing_forward
            if loses_backup or is_moved:
                return len(work.writes)
        return sum(
            step not in chain.from_iterable(each.writes for each in known) for step in work.writes
        )

    @property
    def comes_again(self) -> bool:
        """Return whether a schedule brings some of it, so that it is never done for good."""
        return any(each.schedule for each in self._begins)

    @property
    def _begins(self) -> tuple[Work, ...]:
        return self.after.work if self.lifted else self.added

    def _interrupts(self, work: Work) -> bool:
        known = [each for each in self.before.work if each.title == work.title]
        same = known and known[0].bringing_forward == work.bringing_forward
        return work.interrupts and (bool(self.lifted) or not same)

    @cached_property
    def texts(self) -> tuple[str, str]:
        """What differs, before and after, for people."""
        hidden = () if self.after.work else (UNSAID,)
        was = [*self._barriers(self.before, self.after, hidden), *map(str, self.removed)]
        now = [*self._barriers(self.after, self.before, (UNSAID,)), *map(str, self._begins)]
        if self.other_board:
            was, now = [str(each) for each in self.before.work], [OTHER_BOARD + "; ".join(now)]
        if was == now and was:
            return "; ".join(was), SAME
        return "; ".join(was) or NOTHING, "; ".join(now) or NOTHING

    @staticmethod
    def _barriers(these: Wanted, those: Wanted, hidden: tuple[Barrier, ...]) -> list[str]:
        only = (each for each in these.barriers if each not in those.barriers)
        return [each.terms for each in only if each not in hidden]


def together(parts: Sequence[WantedChange]) -> WantedChange:
    """Return parts of one change as one; the last has what stands before the work."""
    if len(parts) == 1:
        return parts[0]
    before, after = (
        tuple(dict.fromkeys(chain.from_iterable(each)))
        for each in (
            [each.before.work for each in parts],
            [each.after.work for each in parts],
        )
    )
    last = parts[-1]
    return WantedChange(
        Wanted(before, last.before.barriers), Wanted(after, last.after.barriers), last.other_board
    )


class WantedWork:
    """What a revision wants of machines at a time; equal machines are worked out once."""

    def __init__(self, fleet: CompiledFleet, now: datetime) -> None:
        self._fleet = fleet
        self._now = now
        self._holds = {hold.name: hold for hold in fleet.holds}
        self._known: dict[object, Wanted] = {None: Wanted()}

    def key(self, machine: CompiledMachine | None) -> object:
        """Return what is equal for machines of which the same is wanted; None without one."""
        if machine is None:
            return None
        return (
            tuple([(each.scenario, each.run) for each in machine.assignments]),
            machine.protect,
            machine.holds,
            machine.schedules,
            machine.updates,
            machine.unsupported,
        )

    def of(self, key: object, machine: CompiledMachine | None) -> Wanted:
        """Return what is wanted of a machine with this key."""
        if key not in self._known and machine is not None:
            self._known[key] = Wanted(
                work=(
                    *self._assigned(machine),
                    *self._scheduled(machine),
                    *self._updated(machine),
                ),
                barriers=tuple(self._barriers(machine)),
            )
        return self._known[key]

    def _assigned(self, machine: CompiledMachine) -> Iterator[Work]:
        for each in machine.assignments:
            yield _work(self._fleet.scenarios[each.scenario], run=each.run)

    def _scheduled(self, machine: CompiledMachine) -> Iterator[Work]:
        for name in machine.schedules:
            schedule = self._fleet.schedules[name]
            # All but where it stands and what people call it.
            when = repr(schedule._replace(position=_NOWHERE, display_name=""))
            if schedule.scenario:
                work = _work(self._fleet.scenarios[schedule.scenario], schedule=name)
                yield work._replace(
                    meaning=work.meaning + when,
                    bringing_forward=work.bringing_forward + when,
                    is_blocked=bool(work.writes) and schedule.approved != "destructive",
                )
            else:
                does = f"power {schedule.power}"
                yield Work(name, "", "", does, (), schedule.power != "on", when, when)

    def _updated(self, machine: CompiledMachine) -> Iterator[Work]:
        policy, packages = self._fleet.update_policy_of(machine), self._fleet.packages
        if policy is None:
            return
        names = policy.package_names(packages)
        if not names:
            return
        rules = repr(policy._replace(position=_NOWHERE, order=0, packages=(), urgency="never"))
        meaning = "\n".join((rules, *(packages[name].digest for name in names)))
        shown = [f"{name} {packages[name].version}".rstrip() for name in names]
        yield Work(
            schedule="",
            scenario="",
            run="",
            does=f"installs {shortened(shown)} by itself",
            writes=(),
            interrupts=True,
            meaning=meaning,
            bringing_forward=meaning,
            policy=policy.name,
            packages=names,
        )

    def _barriers(self, machine: CompiledMachine) -> Iterator[Barrier]:
        if machine.protect is not False:
            yield PROTECTION if machine.protect else UNSAID
        for name in machine.holds:
            hold = self._holds[name]
            if self._now < hold.until:
                until = f"{hold.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
                yield Barrier("Hold", name, "", f"held by {hold.owner} until {until}", hold.until)
        if machine.unsupported:
            yield Barrier("power", "", "", machine.unsupported)
        for name in dict.fromkeys(each.scenario for each in machine.assignments):
            scenario = self._fleet.scenarios[name]
            if scenario.unsupported:
                yield Barrier("Scenario", name, "", f"{name}: {scenario.unsupported}")
            for step in scenario.steps:
                if isinstance(step, UnsupportedStep):
                    terms = f"{step.action} of {name}: {step.reason}"
                    yield Barrier("Scenario", name, step.action, terms)


def _work(scenario: CompiledScenario, *, run: str = "", schedule: str = "") -> Work:
    return Work(
        schedule=schedule,
        scenario=scenario.name,
        run=run,
        does=", ".join(filter(None, map(_does, scenario.steps))) or "looks at the disks",
        # What an installer's step says is in the digest alone.
        writes=tuple(
            each._replace(reason=scenario.digest) if isinstance(each, UnsupportedStep) else each
            for each in scenario.steps
            if _overwrites(each)
        ),
        interrupts=True,
        meaning=scenario.digest,
        bringing_forward=f"{scenario.trigger} {scenario.reboot} {scenario.after}",
        saves=tuple(
            each
            for each in takewhile(lambda step: not _overwrites(step), scenario.steps)
            if isinstance(each, BackupStep)
        ),
    )


def _of(work: tuple[Work, ...], title: tuple[str, str]) -> tuple[Work, ...]:
    """Return the work of one scenario or schedule, whatever its run."""
    return tuple(each for each in work if each.title[:2] == title)


def _overwrites(step: ScenarioStep) -> bool:
    return isinstance(step, RestoreStep) or (
        isinstance(step, UnsupportedStep) and step.action in _OVERWRITES
    )


def _does(step: ScenarioStep) -> str:
    if isinstance(step, RestoreStep):
        return f"writes {step.image}"
    if isinstance(step, BackupStep):
        repaired = " after repairs on the disk" if step.repair else ""
        return f"captures {step.image}{repaired}"
    if isinstance(step, SystemStep):
        return does(step)
    return step.action if isinstance(step, UnsupportedStep) else ""
