"""Items that a reviewer takes in as one: the same risk, action, cause and group.

A plan group's aggregates are plain data that can be stored without its items, so that
the verdict, the digest and a screenful about 40,000 machines need no item.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from reconciler.planning.item import RISKS, PlanItem, Risk
from specs.diagnostics.position import Position
from specs.fleet import Origin

KEPT_REASONS = 5
KEPT_NAMES = 5
KEPT_IMAGES = 3
_ORDER = {risk: place for place, risk in enumerate(RISKS)}


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason and how many items of the plan group have it, or have one much like it.

    Where machines say the same in too many wordings (each names its own disks), those
    that are unblocked alike count as one, and ``text`` is the first example.
    """

    text: str
    count: int
    unblock: str = ""
    wordings: int = 1


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """The items of one (risk, action, cause, group).

    ``items`` may be any sequence, also one that loads when it is touched. Two plan groups
    are equal when their aggregates are; ``digest`` stands for the items.
    """

    risk: Risk
    action: str
    cause: Origin | None
    group: str
    count: int
    to_start: int
    """Items that ``apply`` would start."""
    running: int
    """Items whose operation is under way."""
    disks: int
    """Disks that would be overwritten."""
    disks_without_backup: int
    """Those with none, or only with one that is older than their last restore."""
    bytes_to_move: int
    slowest_seconds: int
    """Estimate for the slowest machine; 0 where there is none."""
    oldest: datetime | None
    """The oldest observation that an item rests on."""
    newest: datetime | None
    never_observed: int
    reasons: tuple[Reason, ...]
    """The most common, at most ``KEPT_REASONS``."""
    names: tuple[str, ...]
    """The first machines (or documents), at most ``KEPT_NAMES``."""
    images: tuple[str, ...]
    """The images on their way, as ``name digest``, at most ``KEPT_IMAGES``."""
    digest: str
    """Over the items' lines."""
    items: Sequence[PlanItem] = field(compare=False, repr=False)


Key = tuple[Risk, str, str, Origin | None]


Line = tuple[str, str]
"""The name and the line of an item."""
Alike = tuple[PlanItem, Sequence[Line]]
"""An item, and the lines of all that differ from it in these and their operations only."""


def group_items(items: Iterable[PlanItem]) -> tuple[PlanGroup, ...]:
    """Return the plan groups of ``items``, largest risk first, then by action, group and cause.

    A pure function of the set of items: their order does not matter.
    """
    found: dict[Key, list[PlanItem]] = {}
    for item in items:
        found.setdefault(_key(item), []).append(item)
    return tuple(_group_of_items(key, found[key]) for key in sorted(found, key=_place))


def outline(alike: Iterable[Alike]) -> tuple[PlanGroup, ...]:
    """Return the plan groups that ``group_items`` gives, without their items."""
    found: dict[Key, list[Alike]] = {}
    for each in alike:
        found.setdefault(_key(each[0]), []).append(each)
    return tuple(_plan_group(key, found[key], ()) for key in sorted(found, key=_place))


def _group_of_items(key: Key, items: Sequence[PlanItem]) -> PlanGroup:
    lines = sorted((item.name, item.line, place) for place, item in enumerate(items))
    ordered = tuple(items[place] for _, _, place in lines)
    alike = [(items[place], ((name, line),)) for name, line, place in lines]
    return _plan_group(key, alike, ordered)


def in_order(groups: Iterable[PlanGroup]) -> tuple[PlanGroup, ...]:
    """Return plan groups in the order that ``group_items`` would give them."""
    return tuple(sorted(groups, key=lambda each: _place(_key(each))))


def _key(each: PlanGroup | PlanItem) -> Key:
    return each.risk, each.action, each.group, each.cause


def _place(key: Key) -> tuple[int, str, str, Position, tuple[str, ...]]:
    risk, action, group, cause = key
    nowhere = Position("", 0, 0)
    return (
        _ORDER[risk],
        action,
        group,
        cause.position if cause else nowhere,
        cause.path if cause else (),
    )


def _plan_group(key: Key, alike: Sequence[Alike], items: Sequence[PlanItem]) -> PlanGroup:
    risk, action, group, cause = key
    lines = sorted(line for _, lines in alike for line in lines)
    counted = [(item, len(lines)) for item, lines in alike]
    times = [item.observed_at for item, _ in alike if item.observed_at is not None]
    said: Counter[tuple[str, str]] = Counter()
    for item, count in counted:
        said[item.reason, item.unblock] += count
    reasons = merged_reasons(Reason(text, n, unblock) for (text, unblock), n in said.items())
    images = {f"{image.name} {image.manifest[:12]}" for item, _ in alike for image in item.images}
    return PlanGroup(
        risk=risk,
        action=action,
        cause=cause,
        group=group,
        count=len(lines),
        to_start=sum(count for item, count in counted if item.starts),
        running=sum(count for item, count in counted if item.running),
        disks=sum(count * len(item.disks) for item, count in counted),
        disks_without_backup=sum(
            count * sum(not disk.backed_up for disk in item.disks) for item, count in counted
        ),
        bytes_to_move=sum(count * item.bytes_to_move for item, count in counted),
        slowest_seconds=max(item.seconds for item, _ in alike),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        never_observed=sum(count for item, count in counted if item.observed_at is None),
        reasons=reasons[:KEPT_REASONS],
        names=tuple(name for name, _ in lines[:KEPT_NAMES]),
        images=tuple(sorted(images)[:KEPT_IMAGES]),
        digest=digest_of(line for _, line in lines),
        items=items,
    )


def merged_reasons(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons, equal ones counted together, the most common first."""
    equal: dict[tuple[str, str], list[Reason]] = {}
    for reason in reasons:
        equal.setdefault((reason.text, reason.unblock), []).append(reason)
    found = [_counted(each, each[0].wordings) for each in equal.values()]
    if len(found) > KEPT_REASONS:
        alike: dict[tuple[str, str], list[Reason]] = {}
        for reason in sorted(found, key=lambda each: each.text):
            key = ("", reason.unblock) if reason.unblock else (reason.text, "")
            alike.setdefault(key, []).append(reason)
        found = [_counted(each, sum(one.wordings for one in each)) for each in alike.values()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.text)))


def _counted(reasons: Sequence[Reason], wordings: int) -> Reason:
    """Return the first reason for all of them."""
    first = reasons[0]
    return Reason(first.text, sum(each.count for each in reasons), first.unblock, wordings)


def digest_of(lines: Iterable[str]) -> str:
    """Return 32 hex digits over the lines, in their order."""
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


_PLAIN = (
    "action",
    "group",
    "count",
    "to_start",
    "running",
    "disks",
    "disks_without_backup",
    "bytes_to_move",
    "slowest_seconds",
    "never_observed",
    "digest",
)


def group_data(each: PlanGroup) -> dict[str, Any]:
    """Return the aggregates as JSON data, without the items."""
    cause = each.cause
    return {
        "risk": str(each.risk),
        **{name: getattr(each, name) for name in _PLAIN},
        "cause": cause
        and [cause.position.file, cause.position.line, cause.position.column, list(cause.path)],
        "oldest": each.oldest and each.oldest.isoformat(),
        "newest": each.newest and each.newest.isoformat(),
        "reasons": [
            [reason.text, reason.count, reason.unblock, reason.wordings] for reason in each.reasons
        ],
        "names": list(each.names),
        "images": list(each.images),
    }


def group_from(data: Mapping[str, Any], items: Sequence[PlanItem]) -> PlanGroup:
    """Return the plan group that ``group_data`` wrote, with its items or what will load them."""
    cause = data["cause"]
    return PlanGroup(
        risk=Risk(data["risk"]),
        **{name: data[name] for name in _PLAIN},
        cause=Origin(Position(*cause[:3]), tuple(cause[3])) if cause else None,
        oldest=_time(data["oldest"]),
        newest=_time(data["newest"]),
        reasons=tuple(Reason(*reason) for reason in data["reasons"]),
        names=tuple(data["names"]),
        images=tuple(data["images"]),
        items=items,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
