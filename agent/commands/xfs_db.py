"""xfs_db: what lies in sectors of an XFS that is not mounted."""

import re
from collections.abc import Sequence
from pathlib import Path

from agent.commands.runner import run_command

SECTOR = 512
_TIMEOUT = 3600  # seconds; it looks at every inode
_FOUND = re.compile(r"^block \d+ \(\d+/\d+\) type (\w+)(?: inode (\d+)(?: (.*))?)?$")


def owners(volume: Path, sectors: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """Return type and path of what lies in each sector of 512 bytes; CommandError.

    They have to be readable. The path is empty where there is none. Fewer than asked for
    where xfs_db stopped.
    """
    script = [part for each in sectors for part in ("-c", f"daddr {each}", "-c", "blockuse -n")]
    command = ["xfs_db", "-r", "-f", "-c", "blockget -n", *script, str(volume)]
    done = run_command(command, accept=None, timeout=_TIMEOUT)
    return parse_owners(done.stdout.decode("utf-8", "replace"))


def parse_owners(output: str) -> tuple[tuple[str, str], ...]:
    """Return what ``blockuse -n`` printed for each block."""
    found = filter(None, map(_FOUND.match, output.splitlines()))
    return tuple((match[1], match[3] or "") for match in found)
