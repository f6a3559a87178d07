"""Whether a clone of an imported disk can get an identity of its own.

Judged by the code of captures, on this computer instead of in the Deploy-OS. What the kernel here
does not mount is no obstacle, for it is the Deploy-OS that mounts the clone: nobody knows then.
"""

import os
from pathlib import Path

from attrs import evolve, frozen

from agent.errors import CodedError
from agent.identity.linux.agent_bundle import collect_bundle
from agent.identity.linux.suitability import SuitableSystem, UnsuitableSystem, as_imaged, judge
from agent.identity.linux.unsuitable import NotMountedError
from agent.inspection.disk_content import disk_content
from agent.inspection.host_paths import HostPaths
from agent.inspection.sampling import Budget
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem
from providers.imaging.image_mount import in_private_mounts

_OF_DEPLOY_OS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})
"""File systems that the Deploy-OS can mount and a root may have (``deploy-os/recipe.toml``)."""
_NO_DEVICE = Path("/nonexistent")
"""The kernel has no view of the partitions in a file, whatever that is called."""


@frozen
class ImportedSystem:
    """What was found, as an image keeps it: or why nobody could look, in one phrase."""

    system: ImagedSystem | None
    problem: str = ""


def imported_system(disk: Disk) -> ImportedSystem:
    """Return what is installed on a disk that is a file, of which only node and sizes are known.

    Changes nothing. File systems are mounted where nobody else sees them.
    """
    if os.geteuid() != 0:
        return ImportedSystem(None, "only root can mount its file systems")
    try:
        found = in_private_mounts(lambda: _judged(disk))
    except CodedError as error:
        return ImportedSystem(None, error.cause)
    except OSError as error:
        return ImportedSystem(None, error.strerror or str(error))
    if isinstance(found, UnsuitableSystem) and isinstance(found.error, NotMountedError):
        return ImportedSystem(None, f"{found.error.cause} on this computer")
    if isinstance(found, SuitableSystem):
        kind = found.place.part.filesystem
        if kind not in _OF_DEPLOY_OS:
            return ImportedSystem(None, f"its root is {kind}, which the Deploy-OS does not mount")
    return ImportedSystem(as_imaged(found))


def _judged(disk: Disk) -> SuitableSystem | UnsuitableSystem:
    size, node = disk.identity.size, Path(disk.node)
    # What is told of a disk without a signature must not depend on this computer's speed.
    content = disk_content(node, _NO_DEVICE, size, disk.sector_size, Budget.of(0))
    known = evolve(disk, table=content.table, partitions=content.partitions, holds=content.holds)
    return judge(HostPaths().sysfs, known, collect_bundle())
