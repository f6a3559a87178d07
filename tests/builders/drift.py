"""Which chunks of an image a disk does not hold; reads only."""

from agent.imaging.boot_block import holds
from agent.imaging.chunk import Chunk, Span, digest_of
from agent.imaging.device import Buffers, open_device
from agent.imaging.extent import Extent
from agent.imaging.fit import fit
from agent.imaging.manifest import Manifest


def verify(manifest: Manifest, node: str) -> list[Chunk]:
    """Return the chunks whose used bytes on ``node`` are not the image's, in disk order.

    On a disk that is larger than the image's, the sectors of the moved backup GPT must be as
    ``fit`` says; where they are not, they appear as a chunk of their own.
    """
    with open_device(node, exclusive=False, sector_size=manifest.sector_size) as device:
        placed = fit(manifest, device.size)
        buffers = Buffers()
        mismatches = [
            chunk for chunk in manifest.chunks() if not holds(device, placed, buffers, chunk)
        ]
        for patch in placed.patches:
            if patch.extent.end <= manifest.disk_size:
                continue  # checked with its chunk
            if device.read(patch.offset, len(patch.raw)) != patch.raw:
                span = Span(patch.offset, len(patch.raw), (Extent(0, len(patch.raw)),))
                mismatches.append(Chunk(span, digest_of(patch.raw)))
    return mismatches
