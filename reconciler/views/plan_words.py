"""What a plan says, in words that every output shares. Plain text: each output escapes it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from textwrap import shorten
from typing import NamedTuple

from rich.filesize import decimal

from agent.wire.imaged_layout import counted_partitions
from reconciler.planning.approvals import Requirement
from reconciler.planning.causes import Cause
from reconciler.planning.difference import FieldChange
from reconciler.planning.estimate import (
    BOOT_SECONDS,
    BYTES_PER_SECOND,
    Budget,
    rounds,
    strictest,
    total_seconds,
)
from reconciler.planning.groups import KEPT_NAMES, PlanGroup
from reconciler.planning.item import DiskFacts, Grown, ImageChange, PlanItem, Risk
from reconciler.planning.plan import NEEDS_NO_APPROVAL, WAITS_FOR_APPROVAL, Plan
from reconciler.planning.rollouts import PlannedRollout
from reconciler.planning.summary import SummaryRow
from reconciler.views import schedule_words
from reconciler.views.age import ago, duration
from specs.diagnostics.quote import counted
from specs.fleet import HealthCheck, Origin
from specs.types.display_name import named

SHORT = 12
"""Hex digits of a digest or commit that people see."""
SHOWN = 10
"""Lines of what a comparison says besides causes and work."""
_UNKNOWN = "whether a clone can get its identity is unknown until the next capture"
_MOST_ROLLOUTS = 8
_MOST_WARNINGS = 5
_LONGEST = 120
"""Characters of what a health check asks."""
_MOST_WAVES = 6
"""Waves that are named one by one."""
NOTHING = "Nothing to do: all that the repository asks for is done."


def short(revision: str) -> str:
    """Return a commit, or ``worktree:`` and a digest, as short as it still helps."""
    kind, colon, digest = revision.rpartition(":")
    return f"{kind}{colon}{digest[:SHORT]}"


def verdict(plan: Plan) -> str:
    """Return every risk with its count."""
    return " · ".join(f"{risk} {count:,}" for risk, count in plan.counts.items())


def wiped(plan: Plan) -> str:
    """Return how many disks are overwritten and what of them is lost; empty for none."""
    if not plan.disks:
        return ""
    return f"overwrites {_disks(plan.disks, sum(f.disks_without_backup for f in plan.groups))}"


def _disks(number: int, without_backup: int) -> str:
    said = counted(number, "disk")
    if not without_backup:
        return f"{said} with a backup" if number == 1 else f"{said}, all with a backup"
    if without_backup == number:
        return f"{said} without a backup" if number == 1 else f"{said}, none with a backup"
    return f"{said}, {without_backup:,} of them without a backup"


def title(row: SummaryRow) -> str:
    """Return what a row is about, without its risk."""
    parts = [part for part in (_actions(row), place(row), counted_members(row)) if part]
    if row.disks:
        parts.insert(0, _disks(row.disks, row.disks_without_backup))
    return " · ".join(parts)


def _actions(row: SummaryRow) -> str:
    return row.actions[0] if len(row.actions) == 1 else f"{len(row.actions):,} actions"


def place(row: SummaryRow) -> str:
    """Return the group, or the common ancestor with ``/**``; empty for documents."""
    if len(row.groups) == 1:
        return named(row.members[0].group_display_name, row.groups[0])
    return f"{row.group}/**" if row.group else "**"


def counted_members(row: SummaryRow) -> str:
    """Return ``1,000 machines in 25 groups``."""
    documents = any(not group for group in row.groups)  # every machine has a group
    members = counted(row.count, "item" if documents else "machine")
    return members if len(row.groups) == 1 else f"{members} in {len(row.groups):,} groups"


def cause(origin: Origin | None) -> str:
    """Return where the wish was written and the groups that it came along."""
    if origin is None:
        return "an operation that was approved before"
    along = f" (along {' → '.join(origin.path)})" if origin.path else ""
    return f"{origin.position}{along}"


def causes(row: SummaryRow) -> str:
    """Return the first cause and how many more there are."""
    found = row.causes
    more = f" and {counted(len(found) - 1, 'more line')}" if len(found) > 1 else ""
    return (str(found[0]) if found else cause(None)) + more


def disk(facts: DiskFacts, now: datetime) -> str:
    """Return a disk as people recognise it, and what is on it."""
    name = " ".join(part for part in (facts.model, facts.serial, facts.wwn) if part)
    name = name or "unnamed disk"
    if facts.partitions:
        name = f"{counted_partitions(facts.partitions)} of {name}"
    seen = ago(facts.observed_at, now)
    return f"{name} · {decimal(facts.size)} · holds {facts.holds} · seen {seen}"


def backup(facts: DiskFacts, now: datetime) -> str:
    """Return the last good backup of a disk and its age, or plainly that there is none."""
    found = facts.backup
    if found is None and facts.lost:
        return "no backup: what is on it cannot be brought back"
    if found is None:
        return "no backup, the disk is blank"
    older = ", before the disk was last overwritten" if found.overwritten_since else ""
    lost = found.unreadable_bytes
    lacks = f" · lacks {lost:,} bytes that the disk did not give" if lost else ""
    return f"{found.image} {found.manifest[:SHORT]} · captured {ago(found.at, now)}{older}{lacks}"


def image(change: ImageChange, now: datetime) -> str:
    """Return an image on its way: old digest to new, the system on it and its age."""
    before = change.replaces[:SHORT] or "nothing known"
    same = " (the same)" if change.replaces == change.manifest else ""
    captured = ago(change.created, now)
    name = named(change.display_name, change.name)
    system = f" · {change.system}" if change.system else ""
    unknown = f" · {_UNKNOWN}" if change.suitability_unknown else ""
    lost = change.unreadable_bytes
    unread = f" · {lost:,} bytes of it were unreadable and are zeros" if lost else ""
    emptied = (
        f" · without {counted_partitions(change.emptied)}, left empty" if change.emptied else ""
    )
    digests = f"{before} → {change.manifest[:SHORT]}{same}"
    return f"{name} {digests}{system} · captured {captured}{unread}{unknown}{emptied}"


def image_as_written(change: ImageChange, now: datetime) -> str:
    """Return an image on its way and what of it will be larger."""
    larger = growth(change)
    return image(change, now) + (f" · grows {larger}" if larger else "")


def growth(change: ImageChange) -> str:
    """Return what will be larger than in the image, from which size to which; empty: nothing asked.

    An image of an older version says nothing of that before it is restored.
    """
    if change.grows is None:
        return ""
    return "; ".join(map(_grown, change.grows)) or "nothing: the disk has no more room for it"


def _grown(each: Grown) -> str:
    filesystem = f" ({each.filesystem})" if each.filesystem else ""
    before, after = decimal(each.before), decimal(each.after)
    to = f"to {after}" if after != before else f"by {decimal(each.after - each.before)}"
    return f"{each.what}{filesystem} from {before} {to}"


def effort(bytes_to_move: int, seconds: int) -> str:
    """Return how much crosses the network at most, and how long one machine may take."""
    return f"up to {decimal(bytes_to_move)} · about {duration(seconds)} (estimate)"


def spared(item: PlanItem) -> str:
    """Return the disks that stay as they are."""
    return "; ".join(item.spared) or "there is no other disk"


def warning(row: SummaryRow) -> str:
    """Return the first warning of a row, and how many of its items have one; empty for none."""
    if not row.warned:
        return ""
    share = "" if row.count == 1 else f" ({row.warned:,} of {row.count:,}, for example)"
    return f"warning{share}: {row.warning}"


def seen(row: SummaryRow | PlanGroup, now: datetime) -> str:
    """Return the span of the observations' ages."""
    if row.oldest is None or row.newest is None:
        return "never observed"
    oldest, newest = ago(row.oldest, now), ago(row.newest, now)
    span = oldest if oldest == newest else f"between {newest} and {oldest}"
    never = f", {row.never_observed:,} never" if row.never_observed else ""
    return f"observed {span}{never}"


def some_names(row: SummaryRow | FieldChange | Cause, most: int = KEPT_NAMES) -> str:
    """Return the first names and how many more there are."""
    names = row.names[:most]
    more = row.count - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def some(sentences: list[str], limit: int | None) -> list[str]:
    """Return the first sentences and how many more there are; all without a limit."""
    if limit is None or len(sentences) <= limit:
        return sentences
    return [*sentences[:limit], f"and {len(sentences) - limit:,} more"]


class EqualDisks(NamedTuple):
    """Disks that people cannot tell apart but by machine and serial."""

    first: PlanItem
    disk: DiskFacts
    image: ImageChange
    number: int


def each_disk(items: Iterable[PlanItem]) -> tuple[EqualDisks, ...]:
    """Return the disks that items overwrite, one by one."""
    return tuple(
        EqualDisks(item, facts, change, 1)
        for item in items
        for facts, change in zip(item.disks, item.images, strict=False)
    )


def equal_disks(items: Iterable[PlanItem], now: datetime) -> tuple[EqualDisks, ...]:
    """Return the disks that items overwrite, equal ones once, in the order of the first ones."""
    found: dict[tuple[object, ...], list[tuple[PlanItem, DiskFacts, ImageChange]]] = {}
    for item in items:
        for facts, change in zip(item.disks, item.images, strict=False):
            last = facts.backup and (facts.backup.image, facts.backup.manifest, backup(facts, now))
            seen_ago = ago(facts.observed_at, now)
            written = (facts.size, facts.partitions, change)
            looks = (facts.model, facts.holds, seen_ago, last, written, item.spared)
            found.setdefault(looks, []).append((item, facts, change))
    return tuple(EqualDisks(*each[0], len(each)) for each in found.values())


def equal_disk(facts: DiskFacts, now: datetime) -> str:
    """Return a disk as people recognise its like."""
    return disk(replace(facts, serial="", wwn=""), now)


def remarks(plan: Plan) -> tuple[str, ...]:
    """Return what the revision's schedules do next, in a line, and what is to be warned of.

    Words of the repository are in it.
    """
    shown = [f"warning: {each.position}: {each.code} {each.message}" for each in plan.warnings]
    if len(shown) > _MOST_WARNINGS:
        left = len(shown) - _MOST_WARNINGS
        shown[_MOST_WARNINGS:] = [f"and {counted(left, 'more warning')} (rackwright validate)"]
    if plan.scheduled:
        more = schedule_words.more_upcoming(plan.scheduled, 1)
        line = f"Scheduled: {schedule_words.upcoming(plan.scheduled[0], plan.made_at)}"
        shown.insert(0, f"{line}, {more}" if more else line)
    return tuple(shown)


def approval(plan: Plan, command: str = "apply") -> tuple[str, ...]:
    """Return what has to be agreed to and why, by whom, and what the budget makes of it.

    ``command`` is the one that asks for it; empty: it begins without a question.
    """
    return (*agreement(plan, command), *conditions(plan))


def conditions(plan: Plan) -> tuple[str, ...]:
    """Return in which waves the work is done, and who has to approve it.

    Words of the repository are in it.
    """
    shown = [rollout(each) for each in plan.rollouts[:_MOST_ROLLOUTS]]
    if len(plan.rollouts) > len(shown):
        shown.append(f"And {counted(len(plan.rollouts) - len(shown), 'more rollout')}.")
    return (*shown, *map(requirement, plan.requirements))


def agreement(plan: Plan, command: str = "apply") -> tuple[str, ...]:
    """Return what has to be agreed to, in our own words: code is between backquotes."""
    begins = plan.begins_unattended
    waiting = {
        risk: sum(each.to_start for each in plan.groups if each.risk is risk) - begins[risk]
        for risk in Risk
    }
    said = [*_asked(plan, waiting, command)]
    if unasked := sum(begins.values()):
        work = f"Work on {counted(unasked, 'machine')} {NEEDS_NO_APPROVAL}"
        said.append(f"{work}; `rackwright serve` begins it by itself.")
    if waiting[Risk.DESTRUCTIVE]:
        said.append(_budget(plan))
    if not said and not plan.empty:
        said.append("Nothing can be started now.")
    return tuple(said)


def _asked(plan: Plan, waiting: Mapping[Risk, int], command: str) -> Iterator[str]:
    """Yield what waits for a person; of the gravest alone, for that is what is asked about."""
    yes = f"`rackwright {command}` asks for a yes" if command else "nobody is asked"
    disruptive = waiting[Risk.DISRUPTIVE] + waiting[Risk.UNKNOWN]
    interrupts = f"{counted(disruptive, 'machine')} may be interrupted"
    if waiting[Risk.DESTRUCTIVE]:
        also = f"; {interrupts}" if disruptive else ""
        disks = f"{counted(plan.disks, 'disk')} will be overwritten"
        yield f"Approval: {disks}{also}; `rackwright {command}` asks you to type {plan.disks}."
    elif disruptive:
        yield f"Approval: {interrupts}; {yes}."
    elif any(waiting.values()):
        waits = WAITS_FOR_APPROVAL if command else "begins now"
        yield f"Work on {counted(sum(waiting.values()), 'machine')} {waits}; {yes}."


def rollout(planned: PlannedRollout) -> str:
    """Return the waves of one rollout, when it halts, and what makes a machine healthy."""
    terms = planned.terms
    waves = [f"{wave.name} ({len(wave.machines):,})" for wave in planned.waves]
    if len(waves) > _MOST_WAVES:
        waves = [*waves[: _MOST_WAVES - 1], f"{len(waves) - _MOST_WAVES:,} more", waves[-1]]
    halts = "the first failure"
    if terms.max_failures:
        halts = f"more than {counted(terms.max_failures, 'failure')}"
    return (
        f"Rollout of {planned.whose}: {counted(planned.size, 'machine')} in "
        f"{counted(len(planned.waves), 'wave')}: {', '.join(waves)}. It halts at {halts}; "
        f"{health(terms.health)}."
    )


def health(check: HealthCheck) -> str:
    """Return what makes a machine healthy after its work, as a clause."""
    from specs.types.quantities import Duration  # noqa: PLC0415 - most plans need none

    said = []
    if check.soak_seconds:
        said.append(f"its agent is heard {Duration(check.soak_seconds)} after")
    if check.url:
        said.append(f"{shorten(check.url, _LONGEST, placeholder='…')} answers")
    if check.command:
        command = shorten(" ".join(check.command), _LONGEST, placeholder="…")
        said.append(f'"{command}" ends with 0')
    if not said:
        return "a machine is healthy when its work is verified"
    return f"a machine is healthy when {', '.join(said)}, within {Duration(check.within_seconds)}"


def requirement(needed: Requirement) -> str:
    """Return one rule that a plan has to meet, by whom it is met, and who else can."""
    what = needed.what[0].upper() + needed.what[1:]
    others = ""
    if needed.missing:
        more = f"{needed.missing} {'more' if needed.given else 'missing'}"
        others = f"; {more}, by {' or '.join(needed.may) or 'nobody: see spec.approvals'}"
    return f"{what} {requirement_clause(needed)}{others}."


def requirement_clause(needed: Requirement) -> str:
    """Return how many persons it takes, and who gave their approval until when."""
    persons = counted(needed.rule.persons, "person")
    given = ", ".join(f"{name} until {end:%Y-%m-%d %H:%M} UTC" for name, end in needed.given)
    return f"needs {persons} of role {' or '.join(needed.rule.roles)}" + (
        f"; given by {given}" if given else ""
    )


def _budget(plan: Plan) -> str:
    moved = sum(each.bytes_to_move for each in plan.groups)
    machines: Counter[str] = Counter()
    for each in plan.groups:
        if each.risk is Risk.DESTRUCTIVE:
            machines[each.group] += each.to_start
    group, count, limit = strictest(machines, moved, plan.budget)
    slowest = f"; in `{group}` {_limits(limit)}" if group else ""
    return (
        f"Budget: {_limits(plan.budget)}{slowest}: {counted(rounds(count, limit), 'round')}, "
        f"about {duration(total_seconds(count, moved, limit))} "
        f"(estimate: {decimal(BYTES_PER_SECOND)}/s shared by all, "
        f"{duration(BOOT_SECONDS)} of starting)."
    )


def _limits(budget: Budget) -> str:
    return f"{budget.at_once:,} at once, {budget.per_hour:,} an hour"
