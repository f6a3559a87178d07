"""What machines are told to install by themselves. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from attrs import evolve

from agent.wire.package import WantedPackage
from agent.wire.updates import Opening, UpdateOrders, UpdateWindow
from reconciler.planning.wanted_packages import wanted_packages
from reconciler.planning.windows import openings
from specs.fleet import (
    CompiledFleet,
    CompiledPackage,
    CompiledUpdatePolicy,
    CompiledWindows,
)
from specs.types.urgency import is_as_urgent

AHEAD = timedelta(days=14)
"""So far ahead a machine is told when work may begin on it: it may be without a server."""


class Held(NamedTuple):
    """Nothing may begin on a machine now; ``until`` is seconds since 1970, 0 for unknown."""

    why: str = ""
    until: int = 0


FREE = Held()


def orders_of(
    fleet: CompiledFleet,
    policy: CompiledUpdatePolicy,
    windows: CompiledWindows | None,
    now: datetime,
    size: Callable[[str], int | None],
) -> UpdateOrders:
    """Return what the machines of a policy with these windows are told.

    ``size`` returns the bytes of a file of the content store by its digest, None where it is not
    there: packages that need it, and those that require them, come later.
    """
    found = wanted_packages(policy.package_names(fleet.packages), fleet.packages)
    ready, absent = _ready(found, size)
    return UpdateOrders(
        policy=policy.name,
        packages=ready,
        missing=absent,
        check_at=policy.check_at,
        check_at_startup=policy.check_at_startup,
        urgent=tuple(sorted(_urgent(policy, ready, fleet.packages))),
        when=policy.when,
        confirm=policy.confirm,
        countdown=policy.countdown_seconds,
        deadline=policy.deadline_seconds,
        windows=tuple(UpdateWindow(*each) for each in policy.windows),
        time_zone=policy.time_zone,
        openings=None if windows is None else _openings(windows, now),
        max_rate=policy.max_rate // 8,
    )


def held(orders: UpdateOrders, why: Held, notice: int) -> UpdateOrders:
    """Return the orders of a machine that is held, or that a person asked to look now."""
    if why == FREE and not notice:
        return orders
    return evolve(orders, held=why.why, held_until=why.until, notice=notice)


def _urgent(
    policy: CompiledUpdatePolicy,
    ready: Iterable[WantedPackage],
    packages: Mapping[str, CompiledPackage],
) -> Iterator[str]:
    for each in ready:
        package = packages[each.name]
        if is_as_urgent(package.urgency, policy.check_on_urgency):
            yield package.digest


def _ready(
    wanted: Iterable[WantedPackage], size: Callable[[str], int | None]
) -> tuple[tuple[WantedPackage, ...], tuple[str, ...]]:
    """Return the packages that can be handed out, with the sizes of files, and the others."""
    ready: dict[str, WantedPackage] = {}
    absent: list[str] = []
    for package in wanted:  # what is required stands before
        sizes = [size(file.sha256) for file in package.files]
        if None in sizes or not ready.keys() >= set(package.requires):
            absent.append(package.name)
            continue
        files = tuple(
            evolve(file, size=bytes_ or 0)
            for file, bytes_ in zip(package.files, sizes, strict=True)
        )
        ready[package.name] = evolve(package, files=files)
    return tuple(ready.values()), tuple(absent)


def _openings(windows: CompiledWindows, now: datetime) -> tuple[Opening, ...]:
    """Return when work may begin, from the beginning of this day on."""
    since = datetime.combine(now.astimezone(UTC).date(), time(tzinfo=UTC))
    found: list[Opening] = []
    for first, last in openings(windows, since, since + AHEAD, timedelta()):
        begin, end = int(first.timestamp()), int(last.timestamp()) + 1
        if found and begin <= found[-1].end:
            found[-1] = Opening(found[-1].begin, max(end, found[-1].end))
        else:
            found.append(Opening(begin, end))
    return tuple(found)
