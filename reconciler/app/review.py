"""Comparing two revisions of one repository, for those who review a branch."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.app.project import InvalidRepositoryError, Project
from reconciler.compiled.changed_documents import ChangedSide, changed_documents
from reconciler.git.changed_lines import ChangedFile, changed_files
from reconciler.planning.changed_values import ChangedValues
from reconciler.planning.difference import (
    Difference,
    WantedDifference,
    difference,
    repair,
    wanted_difference,
)

if TYPE_CHECKING:
    from reconciler.git.revision import Revision
    from reconciler.planning.plan import Plan
    from specs.fleet import CompiledFleet


def branch_plan(ours: Project, now: datetime) -> "Plan":
    """Return our plan; InvalidRepositoryError (RW901) names the revision that has errors."""
    try:
        return ours.plan(now)
    except InvalidRepositoryError as error:
        raise error.of(ours.describe) from error


def compare_plans(base: Project, ours: Project, made: "Plan", now: datetime) -> Difference:
    """Return what our revision changes; ``made`` is its plan.

    Where only the base has errors, its errors and all of our plan.
    """
    try:
        base_plan = base.plan(now)
    except InvalidRepositoryError as error:
        return repair(made, _revision_of(base), error.listing)
    return difference(made, base_plan, ours.fleet, base.fleet, changed_values(base, ours))


def compare_wanted(base: Project, ours: Project, now: datetime) -> WantedDifference:
    """Return what our revision changes of what is wanted, whatever was observed.

    InvalidRepositoryError (RW901) names the side that has errors.
    """
    return wanted_difference(fleet_of(base), fleet_of(ours), changed_values(base, ours), now)


def behind_notice(base: Project, ours: Project) -> str:
    """Return that our revision lacks commits of the base, in a line; empty where it has all."""
    if base.revision is None or ours.revision is None:
        return ""
    older, newer = ours.revision.commit.id, base.revision.commit.id
    lacking = len(ours.revision.git.commits_between(older, newer))
    if not lacking:
        return ""
    what = "1 commit that is" if lacking == 1 else f"{lacking:,} commits that are"
    return (
        f"note: the base has {what} not in what is reviewed, which seems to take them back; "
        "merge the base first, or compare with what `git merge-base` names"
    )


def fleet_of(project: Project) -> "CompiledFleet":
    """Return the fleet of one side; InvalidRepositoryError (RW901) names it."""
    try:
        return project.fleet
    except InvalidRepositoryError as error:
        raise error.of(project.describe) from error


def changed_values(base: Project, ours: Project) -> ChangedValues:
    """Return what differs in the documents of two commits; SourceError as reading them raises."""
    before, after = base.revision, ours.revision
    if before is None or after is None:  # pragma: no cover - only a commit has a name
        raise TypeError("a folder outside Git has nothing to be compared with")
    changed = changed_files(before, after)
    return ChangedValues(
        *changed_documents(_side(changed.before, before), _side(changed.after, after))
    )


def _side(changed: Mapping[str, ChangedFile], revision: "Revision") -> ChangedSide:
    blobs = {path: each.blob for path, each in changed.items()}

    def read(paths: Iterable[str]) -> Mapping[str, bytes]:
        wanted = set(paths)
        if not wanted <= blobs.keys():
            blobs.update(revision.blobs()[0])
        return revision.contents({path: blobs[path] for path in wanted & blobs.keys()})

    return ChangedSide({path: each.lines for path, each in changed.items()}, read)


def _revision_of(project: Project) -> str:
    return project.revision.commit.id if project.revision else project.source.revision
