"""Many plan groups as few rows: machine groups become their ancestors until the rows fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from posixpath import commonpath

from reconciler.planning.groups import KEPT_IMAGES, KEPT_NAMES, PlanGroup, Reason, merged_reasons
from reconciler.planning.item import RISKS, Risk
from specs.diagnostics.position import Position


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """Plan groups of one risk that are shown as one; most often a single one."""

    group: str
    """The common ancestor of the members' machine groups, or that of the only one."""
    members: tuple[PlanGroup, ...]

    @property
    def risk(self) -> Risk:
        """Return the risk that all members share."""
        return self.members[0].risk

    @property
    def actions(self) -> tuple[str, ...]:
        """Return the different actions, in the order of their names."""
        return tuple(sorted({each.action for each in self.members}))

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the different groups, in the order of their names."""
        return tuple(sorted({each.group for each in self.members}))

    @property
    def causes(self) -> tuple[Position, ...]:
        """Return the different places where the wish was written, in their order."""
        return tuple(sorted({each.cause.position for each in self.members if each.cause}))

    @property
    def count(self) -> int:
        """Return the number of items."""
        return sum(each.count for each in self.members)

    @property
    def disks(self) -> int:
        """Return the number of disks that would be overwritten."""
        return sum(each.disks for each in self.members)

    @property
    def disks_without_backup(self) -> int:
        """Return how many of the disks have no backup."""
        return sum(each.disks_without_backup for each in self.members)

    @property
    def bytes_to_move(self) -> int:
        """Return the most that will cross the network."""
        return sum(each.bytes_to_move for each in self.members)

    @property
    def slowest_seconds(self) -> int:
        """Return the estimate for the slowest machine; 0 where there is none."""
        return max(each.slowest_seconds for each in self.members)

    @property
    def oldest(self) -> datetime | None:
        """Return the time of the oldest observation."""
        times = [each.oldest for each in self.members if each.oldest is not None]
        return min(times, default=None)

    @property
    def newest(self) -> datetime | None:
        """Return the time of the newest observation."""
        times = [each.newest for each in self.members if each.newest is not None]
        return max(times, default=None)

    @property
    def never_observed(self) -> int:
        """Return how many items rest on no observation at all."""
        return sum(each.never_observed for each in self.members)

    @property
    def warned(self) -> int:
        """Return how many items have warnings."""
        return sum(each.warned for each in self.members)

    @property
    def warning(self) -> str:
        """Return the first warning; empty where there is none."""
        return next((each.warning for each in self.members if each.warning), "")

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return the reasons that the members keep, the most common first."""
        return merged_reasons(reason for each in self.members for reason in each.reasons)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the first names."""
        return tuple(name for each in self.members for name in each.names)[:KEPT_NAMES]

    @property
    def images(self) -> tuple[str, ...]:
        """Return the images on their way, as ``name digest``; more than are shown, if more."""
        found = sorted({image for each in self.members for image in each.images})
        return tuple(found[: KEPT_IMAGES + 1])


def summarize(groups: Iterable[PlanGroup], limit: int) -> tuple[SummaryRow, ...]:
    """Return rows in the order of the plan groups, at most ``limit`` if one row per risk allows it.

    The least risk is summarized first and the destructive last: first the causes
    of one group, then groups to ever higher ancestors, at last different actions.
    """
    by_risk: dict[Risk, list[SummaryRow]] = {risk: [] for risk in RISKS}
    for each in groups:
        by_risk[each.risk].append(SummaryRow(each.group, (each,)))
    for risk in reversed(RISKS):
        depth = max((_depth(row.group) for row in by_risk[risk]), default=0)
        for level in range(depth, -1, -1):
            if sum(map(len, by_risk.values())) <= limit:
                break
            by_risk[risk] = _merged(by_risk[risk], level, by_action=True)
        if sum(map(len, by_risk.values())) > limit:
            by_risk[risk] = _merged(by_risk[risk], 0, by_action=False)
    return tuple(row for risk in RISKS for row in by_risk[risk])


def _depth(group: str) -> int:
    return len(group.split("/")) if group else 0


def _merged(rows: Sequence[SummaryRow], level: int, *, by_action: bool) -> list[SummaryRow]:
    """Return rows whose groups agree in their first ``level`` parts as one."""
    found: dict[tuple[str, str], list[SummaryRow]] = {}
    for row in rows:
        is_above = row.group.count("/") < level
        ancestor = row.group if is_above else "/".join(row.group.split("/")[:level])
        # By action, only rows of one were merged so far.
        action = row.members[0].action if by_action else ""
        found.setdefault((action, ancestor), []).append(row)
    return [_together(members) for members in found.values()]


def _together(rows: Sequence[SummaryRow]) -> SummaryRow:
    if len(rows) == 1:
        return rows[0]
    groups = tuple(each for row in rows for each in row.members)
    return SummaryRow(commonpath(row.group for row in rows), groups)
