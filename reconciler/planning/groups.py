"""Items that a reviewer takes in as one: the same risk, action, cause and group.

The verdict, the digest and a screenful about 40,000 machines need its aggregates only.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

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
    that are unblocked the same way count as one, and ``text`` is the first example.
    """

    text: str
    count: int
    unblock: str = ""
    wordings: int = 1
    general: str = ""
    """As ``Finding.general_reason``: those that share it count as one."""


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """The items of one (risk, action, cause, group).

    Two plan groups are equal when their aggregates are; ``digest`` stands for the items.
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
    group_display_name: str = ""
    warned: int = 0
    """Items that have warnings."""
    warning: str = ""
    """The first of them, of the first such item."""


Key = tuple[Risk, str, str, Origin | None]


def group_items(items: Iterable[PlanItem]) -> tuple[PlanGroup, ...]:
    """Return the plan groups of ``items``, largest risk first, then by action, group and cause.

    A pure function of the set of items: their order does not matter.
    """
    found: dict[Key, list[PlanItem]] = {}
    for item in items:
        found.setdefault(_key(item), []).append(item)
    return tuple(_plan_group(key, found[key]) for key in sorted(found, key=_place))


def _key(item: PlanItem) -> Key:
    return item.risk, item.action, item.group, item.cause


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


def _plan_group(key: Key, items: Iterable[PlanItem]) -> PlanGroup:
    risk, action, group, cause = key
    ordered = tuple(sorted(items, key=lambda item: (item.name, item.line)))
    times = [item.observed_at for item in ordered if item.observed_at is not None]
    said = Counter((item.reason, item.unblock, item.general_reason) for item in ordered)
    reasons = merged_reasons(
        Reason(text, n, unblock, general=general) for (text, unblock, general), n in said.items()
    )
    images = {f"{image.name} {image.manifest[:12]}" for item in ordered for image in item.images}
    disks = [disk for item in ordered for disk in item.disks]
    return PlanGroup(
        risk=risk,
        action=action,
        cause=cause,
        group=group,
        count=len(ordered),
        to_start=sum(item.starts for item in ordered),
        running=sum(item.running for item in ordered),
        disks=len(disks),
        disks_without_backup=sum(not disk.backed_up for disk in disks),
        bytes_to_move=sum(item.bytes_to_move for item in ordered),
        slowest_seconds=max(item.seconds for item in ordered),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        never_observed=len(ordered) - len(times),
        reasons=reasons[:KEPT_REASONS],
        names=tuple(item.name for item in ordered[:KEPT_NAMES]),
        images=tuple(sorted(images)[:KEPT_IMAGES]),
        digest=digest_of(item.line for item in ordered),
        items=ordered,
        group_display_name=ordered[0].group_display_name,
        warned=sum(bool(item.warnings) for item in ordered),
        warning=next((each for item in ordered for each in item.warnings), ""),
    )


def merged_reasons(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons, equal ones counted together, the most common first."""
    equal: dict[tuple[str, str], list[Reason]] = {}
    for reason in reasons:
        equal.setdefault((reason.general or reason.text, reason.unblock), []).append(reason)
    found = [
        _counted(each, sum({one.text: one.wordings for one in each}.values()))
        for each in equal.values()
    ]
    if len(found) > KEPT_REASONS:
        merged: dict[tuple[str, str], list[Reason]] = {}
        for reason in sorted(found, key=lambda each: each.text):
            key = ("", reason.unblock) if reason.unblock else (reason.text, "")
            merged.setdefault(key, []).append(reason)
        found = [_counted(each, sum(one.wordings for one in each)) for each in merged.values()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.text)))


def _counted(reasons: Sequence[Reason], wordings: int) -> Reason:
    """Return the first reason for all of them."""
    first = reasons[0]
    count = sum(each.count for each in reasons)
    return Reason(first.text, count, first.unblock, wordings, first.general)


def digest_of(lines: Iterable[str]) -> str:
    """Return 32 hex digits over the lines, in their order."""
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
