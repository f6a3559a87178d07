"""ntfsinfo: whether something is on an NTFS that is not mounted."""

from pathlib import Path

from agent.commands.runner import run_command

_FOUND = b"Dumping Inode"


def has_path(device: Path, path: str) -> bool:
    """Return whether the file system has this path, which begins with ``/``.

    False too where the file system cannot be read. MissingCommandError RW566.
    """
    # It ends with status 0 also where there is no such path. A volume that Windows left
    # mounted is only read with --force.
    command = ["ntfsinfo", "--force", "--file", path, str(device)]
    return run_command(command, accept=None).stdout.lstrip().startswith(_FOUND)
