"""What ``rackwright status`` says of the image store: its scrubs, and what is damaged."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from agent.errors import CodedError
from reconciler.planning.conditions import ScrubStatus
from reconciler.state.image_checks import DAMAGED_IMAGE, ImageChecks, ImageScrubs
from reconciler.state.observed import Fault
from specs.diagnostics.quote import counted

if TYPE_CHECKING:
    from reconciler.app.project import Project


def scrub_status(project: "Project") -> ScrubStatus | None:
    """Return how the scrubs of the store stand; None where there was none."""
    scrubs = ImageScrubs(project.database)
    newest, ended = scrubs.newest(), scrubs.ended()
    if newest is None:
        return None
    is_running = newest.ended is None
    return ScrubStatus(
        running_since=newest.started if is_running else None,
        percent=newest.percent,
        ended=None if ended is None else ended.ended,
        damages=newest.damages if is_running or ended is None else ended.damages,
    )


def damaged_images(project: "Project", now: datetime) -> Iterator[Fault]:
    """Yield a fault for each image of the store that was found damaged and is not whole again."""
    damaged = ImageChecks(project.database).damaged()
    if not damaged:
        return
    names: dict[str, str] = {}
    try:
        present = project.store.expected()
        for tag in project.store.names.tags():
            for number, entry in enumerate(tag.generations):
                names.setdefault(entry.digest, f"{tag.name}~{number}" if number else tag.name)
    except (CodedError, OSError):  # another fault says that the store is away
        present = frozenset(each.digest for each in damaged)
    for each in damaged:
        if each.digest in present:
            found = (
                f"{counted(each.damages, 'chunk')} damaged, found by {each.actor}: {each.detail}"
            )
            subject = f"image/{names.get(each.digest, each.digest[:12])}"
            yield Fault(subject, DAMAGED_IMAGE, found, each.at, now, 1)
