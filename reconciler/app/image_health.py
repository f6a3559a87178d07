"""What ``rackwright status`` says of the image store: its scrubs, and what is damaged."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from agent.errors import CodedError
from providers.imaging.image_record import RestoreTest
from reconciler.planning.conditions import ScrubStatus
from reconciler.state.image_checks import (
    DAMAGED_IMAGE,
    WHOLE_AGAIN,
    ImageCheck,
    ImageChecks,
    ImageScrubs,
)
from reconciler.state.observed import Fault, Observed
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


def images_out_of_use(project: "Project", observed: Observed, now: datetime) -> Iterator[Fault]:
    """Yield a fault for each name whose newest image is not restored because it was damaged.

    Those are left out that ``damaged_images`` has. Without their restore test they would stay as
    they are, and nobody would know.
    """
    failed = [image for image in observed.images.values() if not image.usable]
    if not failed:
        return
    checks = ImageChecks(project.database).all()
    for image in failed:
        check = checks.get(image.manifest)
        try:
            tested = project.store.restore_test(image.manifest)
        except (CodedError, OSError):  # damaged itself, which a scrub finds, or the store is away
            continue
        if tested is None or not tested.found_damage or (check is not None and check.damages):
            continue
        since = datetime.fromisoformat(tested.at)
        cause = f"{_why_out_of_use(tested, check)}: `rackwright image verify --prove {image.name}`"
        yield Fault(f"image/{image.name}", DAMAGED_IMAGE, cause, since, now, 1)


def _why_out_of_use(tested: RestoreTest, check: ImageCheck | None) -> str:
    if check is None or check.at < datetime.fromisoformat(tested.at):
        return f"{': '.join(tested.details[:2])}; not verified since"
    return WHOLE_AGAIN
