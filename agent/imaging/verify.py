"""Verify: which chunks of an image a disk does not hold (drift check); reads only."""

from collections.abc import Callable
from contextlib import closing
from functools import partial

from agent.imaging.chunk import Chunk, Span, digest_of, mask
from agent.imaging.content import load
from agent.imaging.device import Buffers, Device, open_device
from agent.imaging.extent import Extent
from agent.imaging.fit import Fit, fit
from agent.imaging.flow import flow
from agent.imaging.manifest import Manifest
from agent.imaging.refusal import Needs, refuse_smaller

Progress = Callable[[int, int], None]
"""``progress(bytes_done, bytes_total)``, called from the calling thread."""


def verify(manifest: Manifest, node: str, progress: Progress) -> list[Chunk]:
    """Return the chunks whose used bytes on ``node`` are not the image's, in disk order.

    ``node`` is a block device or a regular file. On a disk that is larger than the
    image's, the sectors of the moved backup GPT must be as ``fit`` says; where
    they are not, they appear as a chunk of their own. Raises RefusedDiskError and
    DiskFailureError.
    """
    with open_device(node, exclusive=False, sector_size=manifest.sector_size) as device:
        refuse_smaller(node, Needs(manifest.disk_size, manifest.sector_size), device.size)
        placed = fit(manifest, device.size)
        mismatches = _mismatching_chunks(manifest, device, placed, progress)
        for patch in placed.patches:
            if patch.extent.end <= manifest.disk_size:
                continue  # checked with its chunk
            if device.read(patch.offset, len(patch.raw)) != patch.raw:
                span = Span(patch.offset, len(patch.raw), (Extent(0, len(patch.raw)),))
                mismatches.append(Chunk(span, digest_of(patch.raw)))
    return mismatches


def holds(device: Device, placed: Fit, buffers: Buffers, chunk: Chunk) -> bool:
    """Whether the disk holds the chunk."""
    with buffers.lent() as buffer:
        content = load(device, chunk.span, buffer)
        placed.to_image(chunk.span, content)
        mask(content, chunk.span.ranges)
        return digest_of(content) == chunk.digest


def _mismatching_chunks(
    manifest: Manifest, device: Device, placed: Fit, progress: Progress
) -> list[Chunk]:
    whole = manifest.used_bytes
    done = 0
    mismatches = []
    check = partial(holds, device, placed, Buffers())
    with closing(flow(check, manifest.chunks())) as results:
        for chunk, intact in zip(manifest.chunks(), results, strict=True):
            if not intact:
                mismatches.append(chunk)
            done += chunk.span.used
            progress(done, whole)
    return mismatches
