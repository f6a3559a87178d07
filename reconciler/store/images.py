"""Images of the chunk store as the planner sees them."""

from providers.imaging.store import ChunkStore

from reconciler.observed import ObservedImage


def observed_images(store: ChunkStore) -> dict[str, ObservedImage]:
    """Return every named image with its state."""
    return {
        image.name: ObservedImage(
            name=image.name,
            manifest=image.digest,
            created=image.created,
            usable=image.usable,
            disk_size=image.disk_size,
            used_bytes=image.used_bytes,
            sector_size=image.sector_size,
            problem=image.problem,
        )
        for image in store.images()
    }
