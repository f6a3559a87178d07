"""What of an image will be larger on a machine's disk. Pure."""

from agent.imaging.growable import LVM, Growable
from agent.imaging.growth import NONE, growth
from reconciler.planning.item import Grown


def grown(growable: Growable | None, disk_size: int, grow: str) -> tuple[Grown, ...] | None:
    """Return what a restore with ``grow`` makes larger on a disk of so many bytes.

    None where nothing is asked for, or where nobody looked what of the image can grow: then the
    agent decides. Raises RefusedDiskError (RW417, RW418) where the agent would.
    """
    if growable is None or grow == NONE:
        return None
    found = growth(growable, disk_size, grow)
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
