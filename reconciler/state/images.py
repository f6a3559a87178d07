"""Images of the chunk store as the planner sees them."""

from datetime import datetime

from providers.imaging.store import ChunkStore
from reconciler.state.observed import ObservedImage


def observed_images(store: ChunkStore) -> dict[str, ObservedImage]:
    """Return every named image with its state."""
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
        )
        for image in store.images()
    }
