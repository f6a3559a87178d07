"""zypper: packages from the machine's own sources and package files; which newer ones it knows of.

Licences are not agreed to unless the package's arguments say so.
"""

from collections.abc import Sequence
from pathlib import Path

from agent.commands.apt import Upgradable
from agent.commands.runner import run_command

LOCK_WAIT_SECONDS = 300
ENVIRONMENT = {"ZYPP_LOCK_TIMEOUT": str(LOCK_WAIT_SECONDS)}
REBOOT_NEEDED = 102
RESTART_NEEDED = 103
"""zypper(8): the package manager itself was updated."""
_TIMEOUT_SECONDS = 120.0
_COLUMNS = 6
_STATUS = "v"
"""A newer version; the column is empty in what is no update."""


def install_arguments(
    wanted: Sequence[str], arguments: Sequence[str] = (), *, unsigned_files: bool = False
) -> list[str]:
    """Return the command that installs ``name``, ``name=version`` or a file by its path."""
    allowed = ["--allow-unsigned-rpm"] if unsigned_files else []
    return [
        *("zypper", "--non-interactive", "install", "--no-confirm", *allowed),
        *(*arguments, "--", *wanted),
    ]


def list_updates(root: Path) -> list[Upgradable]:
    """Return what is newer by the metadata that were fetched last; the network is not asked.

    CommandError where zypper is missing or cannot tell.
    """
    options = [] if root == Path("/") else [f"--root={root}"]
    done = run_command(
        ["zypper", *options, "--non-interactive", "--no-refresh", "--quiet", "list-updates"],
        timeout=_TIMEOUT_SECONDS,
    )
    return parse_updates(done.stdout.decode("utf-8", "replace"))


def parse_updates(text: str) -> list[Upgradable]:
    """Return the rows of the table: status, repository, name, installed, available, arch."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == _COLUMNS and cells[0] == _STATUS:
            _, origin, name, installed, available, architecture = cells
            found.append(Upgradable(name, architecture, installed, available, origin))
    return found
