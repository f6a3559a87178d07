"""Backups that are older than their documents allow. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from specs.fleet import BackupStep, CompiledFleet
from specs.types.name import MACHINE, of_machine


class OverdueBackup(NamedTuple):
    """An image whose newest backup that can be restored is too old, or is not there."""

    image: str
    newest: datetime | None
    """None: there is none."""
    limit: timedelta


def backup_limits(fleet: CompiledFleet) -> dict[str, timedelta]:
    """Return how old a backup may be, by the names that machines give images.

    Of images that each machine has of its own, only of machines that back up to them.
    """
    limits = {
        name: timedelta(seconds=each.alert_seconds)
        for name, each in fleet.images.items()
        if each.alert_seconds is not None
    }
    found = {name: limit for name, limit in limits.items() if MACHINE not in name}
    for scenario in fleet.scenarios.values():
        written = {step.image for step in scenario.steps if isinstance(step, BackupStep)}
        own = [each for each in written & limits.keys() if MACHINE in each]
        for machine in fleet.machines_with(scenario.name) if own else ():
            found.update({of_machine(each, machine): limits[each] for each in own})
    return found


def overdue(
    limits: Mapping[str, timedelta], newest: Mapping[str, datetime], now: datetime
) -> tuple[OverdueBackup, ...]:
    """Return the images of which no backup is new enough, by name.

    ``newest`` has when the newest good backup of an image was taken, where there is one.
    """
    return tuple(
        OverdueBackup(name, newest.get(name), limit)
        for name, limit in sorted(limits.items())
        if name not in newest or now - newest[name] > limit
    )
