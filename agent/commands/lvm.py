"""lvm: sizes of LVM's physical and logical volumes, in their metadata alone.

Nothing is activated: LVM does without device-mapper. It sees the devices that it is told of and no
others, so that a group of the same name elsewhere stays as it is, and it reads no
configuration, asks no service and keeps no copy of the metadata.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.commands.runner import run_command, search_path
from agent.errors import MissingCommandError

_PROGRAM = "lvm"
_NO_CONFIGURATION = {"LVM_SYSTEM_DIR": ""}


def require() -> None:
    """Raise MissingCommandError where lvm is not there."""
    if shutil.which(_PROGRAM, path=search_path({})) is None:
        raise MissingCommandError(_PROGRAM)


def resize_physical(node: Path, nodes: Sequence[Path], system: str) -> None:
    """Let a physical volume take all of its device. CommandError.

    ``nodes`` are all physical volumes of its group; ``system`` is the group's system ID, or empty.
    """
    _run("pvresize", nodes, system, [str(node)])


def extend_volume(group: str, volume: str, nodes: Sequence[Path], system: str) -> None:
    """Give a logical volume all free extents of its group, of which there are some. CommandError.

    ``nodes`` and ``system`` are as those of ``resize_physical``.
    """
    _run("lvextend", nodes, system, ["--extents", "+100%FREE", f"{group}/{volume}"])


def arguments(command: str, nodes: Sequence[Path], system: str, locks: Path) -> list[str]:
    """Return a command of LVM up to what it works on. ``locks`` is a folder for its locks."""
    identity = f'local {{ system_id="{system}" }} ' if system else ""
    source = "lvmlocal" if system else "none"
    settings = (
        'devices { use_devicesfile=0 hints="none" obtain_device_list_from_udev=0 '
        'external_device_info_source="none" scan_lvs=0 } '
        "global { use_lvmpolld=0 event_activation=0 "
        f'system_id_source="{source}" locking_dir="{locks}" }} '
        f"{identity}activation {{ udev_sync=0 udev_rules=0 monitoring=0 }} "
        "backup { backup=0 archive=0 }"
    )
    seen = ["--devices", ",".join(map(str, nodes))]
    return [_PROGRAM, command, "--yes", "--driverloaded", "n", *seen, "--config", settings]


def _run(command: str, nodes: Sequence[Path], system: str, words: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as locks:
        line = arguments(command, nodes, system, Path(locks))
        run_command([*line, *words], environment=_NO_CONFIGURATION)
