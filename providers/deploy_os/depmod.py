"""depmod: writes the indexes by which modprobe finds a device's module."""

from pathlib import Path

from providers.deploy_os import command

TOOLS = {"depmod": "kmod"}


def write_indexes(root: Path, kernel: str, log: Path) -> None:
    """Index the modules of ``kernel`` below ``root``. RW857 when depmod fails."""
    command.run(["depmod", "-b", str(root), kernel], log)
