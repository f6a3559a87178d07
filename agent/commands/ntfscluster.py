"""ntfscluster: what lies in sectors of an NTFS that is not mounted."""

import re
from pathlib import Path

from agent.commands.runner import run_command

SECTOR = 512
_TIMEOUT = 1800  # seconds; it looks at every file
_FOUND = re.compile(r"^Inode \d+ (/.*)/(\$[A-Z_]+)(?:\([^()]*\))?$")
_NOTHING = "* no inode found"


def owners(volume: Path, first: int, last: int) -> tuple[tuple[str, str], ...] | None:
    """Return path and attribute of all that lies in sectors of 512 bytes; None: it did not say.

    Empty where nothing lies there. ``/$MFT`` and the like are the file system's own.
    """
    command = ["ntfscluster", "--force", "--quiet", "--sector", f"{first}-{last}", str(volume)]
    done = run_command(command, accept=None, timeout=_TIMEOUT)
    return parse_owners(done.stdout.decode("utf-8", "replace"))


def parse_owners(output: str) -> tuple[tuple[str, str], ...] | None:
    """Return what ntfscluster printed, None where it gave no answer."""
    lines = output.splitlines()
    found = tuple((match[1], match[2]) for match in map(_FOUND.match, lines) if match)
    if not found and _NOTHING not in lines:
        return None
    return tuple(dict.fromkeys(found))
