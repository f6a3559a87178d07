"""Mirroring package sources by hand, and what is known of them."""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from providers.package_source.mirror import MirrorResult
from reconciler.errors import ReconcilerError
from reconciler.planning.schedules import upcoming
from reconciler.state.package_mirrors import KeptPackage, KnownSource, PackageMirrors, offered
from specs.fleet import CompiledPackageSource

if TYPE_CHECKING:
    from reconciler.app.project import Project
    from reconciler.server.package_mirror import SourceMirror


def chosen_sources(project: "Project", names: Collection[str]) -> list[CompiledPackageSource]:
    """Return the sources of these names, all without one, in the order in which they are asked.

    ReconcilerError RW988 for a name that no document has, or where there is no source.
    """
    sources = project.fleet.package_sources
    known = {each.name for each in sources}
    unknown = [name for name in names if name not in known]
    if unknown or not sources:
        there = ", ".join(sorted(known)) or "none"
        what = f"called {unknown[0]}" if unknown else "in the repository"
        raise ReconcilerError(
            "RW988",
            f"there is no package source {what}; there is: {there}",
            "Name one of them, or write a PackageSource document",
        )
    return [each for each in sources if not names or each.name in names]


def mirror_by_hand(
    project: "Project",
    mirror: "SourceMirror",
    sources: Collection[CompiledPackageSource],
    check: Callable[[], None],
) -> Iterator[tuple[CompiledPackageSource, MirrorResult]]:
    """Mirror sources one after the other; yield how each went, once that is written down."""
    order = [each.name for each in project.fleet.package_sources]
    for source in sources:
        mirror.begin(source)
        result = mirror.run(source, order, check)
        mirror.record(source, result)
        yield source, result


def known_sources(project: "Project", now: datetime) -> list[KnownSource]:
    """Return the sources of the repository in the order in which they are asked."""
    states = PackageMirrors(project.database).sources() if project.has_state else {}
    packages = known_packages(project)
    found = []
    for each in project.fleet.package_sources:
        moments = upcoming(each.schedule, now, 1) if each.schedule else []
        count = sum(package.source == each.name for package in packages)
        following = moments[0].moment if moments else None
        found.append(KnownSource(each, states.get(each.name), count, following))
    return found


def known_packages(project: "Project", *, tombstones: bool = False) -> tuple[KeptPackage, ...]:
    """Return what machines may get; with ``tombstones`` all that is known of the sources."""
    if not project.has_state:
        return ()
    packages = PackageMirrors(project.database).packages()
    order = [each.name for each in project.fleet.package_sources]
    return packages if tombstones else offered(packages, order)


def document(known: KnownSource) -> dict[str, object]:
    """Return a source and its last result as plain data, with the times as text."""
    state = known.state
    moments = {"next": known.next}
    if state is not None:
        moments |= {
            "begun": state.begun_at,
            "ended": state.ended_at,
            "succeeded": state.succeeded_at,
        }
    return {
        "source": known.document.name,
        "url": known.document.url,
        "order": known.document.order,
        "packages": known.offered,
        "failure": state.failure if state else "",
        "code": state.code if state else "",
        "cause": state.cause if state else "",
        "received": state.received if state else 0,
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
    }
