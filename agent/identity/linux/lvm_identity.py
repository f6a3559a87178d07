"""What LVM in an installed system knows of the machine that it was installed on."""

import re

from agent.identity.linux.image_tree import ImageTree
from agent.identity.linux.unsuitable import OR_KEEP, UnsuitableSystemError

_DEVICES = "/etc/lvm/devices"
_CONFIGURATION = ("/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf")
_SOURCE = re.compile(r'^[^#\n]*\bsystem_id_source\s*=\s*"?(\w+)', re.MULTILINE)
_OF_THE_MACHINE = {
    "uname": "host name",
    "machineid": "machine-id",
    "appmachineid": "machine-id",
}
"""Sources of a system ID, see lvmsystemid(7), that the identity of a clone changes."""


def devices_files(tree: ImageTree) -> list[str]:
    """Return the lists of disks that LVM uses, which are those of the golden machine.

    lvmdevices(8): entries go by serial number or WWN, and what is not listed is not seen. Without
    the file, LVM uses what it finds, until somebody makes a new one (vgimportdevices).
    """
    return [f"{_DEVICES}/{name}" for name in tree.list_names(_DEVICES, "*.devices")]


def require_usable_group(tree: ImageTree, system_id: str) -> None:
    """Raise UnsuitableSystemError RW462 where LVM would refuse the root's group to a clone.

    ``system_id`` is the group's, empty where it has none.
    """
    if not system_id:
        return
    for path in _CONFIGURATION:
        for match in _SOURCE.finditer(tree.read_text(path) or ""):
            source = _OF_THE_MACHINE.get(match.group(1))
            if source:
                raise UnsuitableSystemError(
                    "RW462",
                    "the system in the image lacks a volume group that a clone may use: LVM keeps "
                    f"it for the system ID {system_id}, which is made of the {source}",
                    "On the golden machine, run `vgchange --systemid '' GROUP` and set "
                    f"system_id_source to none, then take the image again, {OR_KEEP}",
                )
