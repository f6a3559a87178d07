"""A chunk's content, taken from a disk."""

from agent.imaging.chunk import Span, mask
from agent.imaging.device import Device


def load(device: Device, span: Span, buffer: memoryview) -> memoryview:
    """Read what is used of a chunk into ``buffer`` and return its content there.

    ``buffer`` comes from ``device.Buffers``. Raises DiskFailureError.
    """
    first, end = span.ranges[0].offset, span.ranges[-1].end
    device.read_into(buffer[first:end], span.offset + first)
    content = buffer[: span.length]
    mask(content, span.ranges)
    return content
