"""What of an image will be larger on a machine's disk. Pure."""

from agent.imaging.growth import NONE, growth
from agent.imaging.outline import LVM, Outline
from reconciler.planning.item import Grown


def grown(outline: Outline | None, disk_size: int, grow: str) -> tuple[Grown, ...] | None:
    """Return what a restore with ``grow`` makes larger on a disk of so many bytes.

    None where nothing is asked for, or where the outline of the image is not known: then the
    agent decides. Raises RefusedDiskError (RW417, RW418) where the agent would.
    """
    if outline is None or grow == NONE:
        return None
    found = growth(outline, disk_size, grow)
    if found is None:
        return ()
    larger = []
    partition = found.partition
    if found.moves_end:
        filesystem = "" if partition.filesystem == LVM else partition.filesystem
        what = f"partition {partition.number}"
        larger.append(Grown(what, filesystem, partition.size, found.extent.length))
    if each := found.volume:
        name = f"LVM volume {each.name}"
        larger.append(Grown(name, each.volume.filesystem, each.volume.size, each.size))
    return tuple(larger)
