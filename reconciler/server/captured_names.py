"""Names of what an operation captured: moved once all of it can be restored, and together."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from providers.imaging.image_record import ImageSet, SetMember
from providers.imaging.store import ChunkStore
from reconciler.errors import ReconcilerError
from reconciler.state.observed import Capture
from reconciler.state.operations import Operations


def image_of(images: Sequence[str], named: str | None) -> str:
    """Return which of an operation's images a manifest is; an agent of before does not say it.

    How far the agent is does not tell: news of it may still be under way. ReconcilerError RW539
    where it cannot be known.
    """
    if named is None and len(images) == 1:
        return images[0]
    if named is None:
        raise ReconcilerError(
            "RW539",
            f"the operation captures {len(images)} images, and the agent did not say which it is",
            "Build the Deploy-OS again with this version, and run the scenario again",
        )
    if named not in images:
        cause = f"the operation captures {', '.join(images)}, and no image {named}"
        raise ReconcilerError("RW539", cause, "Report this: the agent mixes operations up")
    return named


def name_captured(  # noqa: PLR0913, PLR0917 - what is named, and who signs it
    store: ChunkStore,
    operations: Operations,
    capture: Capture,
    machine: str,
    now: datetime,
    sign: Callable[[str, datetime], None],
) -> bool:
    """Let names point to what an operation of ``machine`` captured; return whether they do.

    ``capture`` passed its restore test just now, and is signed. Where the operation captured other
    disks too, no name is moved before the images of all have passed theirs. BadNameError, and
    UnknownImageError where an image is gone.
    """
    sign(capture.manifest, now)
    captures = operations.captures([capture.operation])
    others = [each for each in captures if each.image != capture.image]
    if any(each.proof is None or each.proof for each in others):
        return False
    if not others:
        store.names.tag(capture.image, capture.manifest)
        return True
    members = sorted((each.image, each.manifest) for each in (capture, *others))
    store.names.tag_together(
        ImageSet(
            capture.operation,
            machine,
            now.astimezone(UTC).isoformat(timespec="seconds"),
            tuple(SetMember(*each) for each in members),
        )
    )
    return True
