"""Alarms for backups that are older than their documents allow."""

from datetime import datetime
from typing import TYPE_CHECKING

from providers.imaging.errors import UnknownImageError
from reconciler.planning.backup_age import OverdueBackup, backup_limits, overdue
from reconciler.state.captures import Captures
from reconciler.state.observed import Fault, Observed
from reconciler.views.age import duration

if TYPE_CHECKING:
    from reconciler.app.project import Project


def overdue_backups(project: "Project", observed: Observed, now: datetime) -> tuple[Fault, ...]:
    """Return a fault for each image of which no backup is as new as its document asks."""
    limits = backup_limits(project.fleet)
    if not limits or observed.store_problem:  # that is said, and nothing is known of backups
        return ()
    verified = Captures(project.database).newest() if project.has_state else {}
    newest = {}
    for name in limits:
        good = _newest_good(project, observed, name)
        if good is not None:
            digest, stored = good
            newest[name] = max(stored, verified.get((name, digest), stored))
    return tuple(_fault(each, now) for each in overdue(limits, newest, now))


def _newest_good(project: "Project", observed: Observed, name: str) -> tuple[str, datetime] | None:
    """Return the newest generation that can be restored, and when the store had it first."""
    image = observed.images.get(name)
    if image is None:
        return None
    if image.usable:
        return image.manifest, image.created
    try:
        generations = project.store.generations(name)
    except UnknownImageError:  # it was removed in this moment
        return None
    good = (each for each in generations if each.restore_test == "proven")
    return next(((each.digest, datetime.fromisoformat(each.created)) for each in good), None)


def _fault(each: OverdueBackup, now: datetime) -> Fault:
    limit = duration(each.limit.total_seconds())
    if each.newest is None:
        cause, since = f"there is no backup that can be restored, alertAfter is {limit}", now
    else:
        age = duration((now - each.newest).total_seconds())
        cause = f"the newest backup that can be restored is {age} old, alertAfter is {limit}"
        since = each.newest + each.limit
    return Fault(f"image/{each.image}", "RW994", cause, since, now, 1)
