"""ssh-keygen: host keys."""

import shutil
from pathlib import Path

from agent.commands.runner import run_command


def is_available() -> bool:
    """Return whether this system has the command."""
    return shutil.which("ssh-keygen") is not None


def make_key(kind: str, path: Path, comment: str) -> None:
    """Write a key pair without a passphrase to ``path`` and ``path.pub``.

    CommandError where that fails.
    """
    run_command(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)])


def host_keys_arguments(root: Path) -> list[str]:
    """Return the command with which the system below ``root`` makes the host keys that it lacks."""
    return ["chroot", str(root), "ssh-keygen", "-A"]
