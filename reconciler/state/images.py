"""Images of the chunk store as the planner sees them."""

from collections.abc import Callable
from datetime import datetime

from providers.imaging.image_signature import CheckedSignature, ImageSignature
from providers.imaging.store import ChunkStore
from reconciler.state.observed import ObservedImage

CheckSignature = Callable[[str, ImageSignature | None], CheckedSignature]
"""By an image's digest and what lies beside it."""


def observed_images(
    store: ChunkStore, check: CheckSignature | None = None
) -> dict[str, ObservedImage]:
    """Return every named image with its state; ``check`` says what a signature is worth."""
    return {
        image.name: ObservedImage(
            name=image.name,
            manifest=image.digest,
            created=datetime.fromisoformat(image.created),
            usable=image.restore_test == "proven",
            disk_size=image.disk_size,
            used_bytes=image.used_bytes,
            sector_size=image.sector_size,
            problem=image.problem,
            system=image.system,
            unreadable_bytes=image.unreadable_bytes,
            layout=image.layout,
            growable=image.growable,
            sets=image.sets,
            signature=check(image.digest, image.signature) if check else None,
        )
        for image in store.images()
    }
