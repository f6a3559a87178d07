"""Images that lack what their disk did not give."""

from datetime import datetime

from reconciler.state.observed import Fault, Observed


def lossy_images(observed: Observed, now: datetime) -> tuple[Fault, ...]:
    """Return a fault for each name whose newest image has zeros for unreadable sectors."""
    return tuple(
        Fault(
            f"image/{image.name}",
            "RW996",
            f"{image.unreadable_bytes:,} bytes of the newest backup could not be read from the "
            "disk and are zeros",
            image.created,
            now,
            1,
        )
        for image in observed.images.values()
        if image.unreadable_bytes
    )
