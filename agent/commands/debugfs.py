"""debugfs: whose a block of an ext2, ext3 or ext4 is."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.commands.runner import run_command

_TIMEOUT = 3600  # seconds; both questions look at every inode
_LONGEST_LINE = 6000  # debugfs reads lines of BUFSIZ (8192)
_OWNED = re.compile(r"^(\d+)\t(\d+)$")
_NAMED = re.compile(r"^(\d+)\t/?(/.*)$")


def inodes_of_blocks(volume: Path, blocks: Sequence[int]) -> tuple[dict[int, int], bool]:
    """Return the inode of each block that belongs to one, and whether all inodes were read.

    ``volume`` may end with ``?offset=BYTES``. CommandError.
    """
    output, complete = _ask(volume, "icheck", blocks)
    return parse_icheck(output), complete


def paths_of_inodes(volume: Path, inodes: Sequence[int]) -> dict[int, str]:
    """Return a path of each inode that has one, the first that is found; CommandError."""
    return parse_ncheck(_ask(volume, "ncheck", inodes)[0])


def _ask(volume: Path, question: str, numbers: Sequence[int]) -> tuple[str, bool]:
    """Return what it said, and whether it had nothing to complain of."""
    request = "\n".join(_lines(question, map(str, numbers))) + "\n"
    done = run_command(
        # -c: it reads no bitmaps, which may be what is lost.
        ["debugfs", "-c", "-f", "-", str(volume)],
        standard_input=request.encode("ascii"),
        timeout=_TIMEOUT,
    )
    warnings = [line for line in done.stderr.splitlines() if not line.startswith("debugfs ")]
    return done.stdout.decode("utf-8", "replace"), not any(warnings)


def _lines(question: str, numbers: Iterable[str]) -> list[str]:
    lines = [question]
    for number in numbers:
        if len(lines[-1]) + len(number) >= _LONGEST_LINE:
            lines.append(question)
        lines[-1] += f" {number}"
    return lines


def parse_icheck(output: str) -> dict[int, int]:
    """Return block to inode as ``icheck`` prints them."""
    found = filter(None, map(_OWNED.match, output.splitlines()))
    return {int(match[1]): int(match[2]) for match in found}


def parse_ncheck(output: str) -> dict[int, str]:
    """Return inode to path as ``ncheck`` prints them; it begins a path with two slashes."""
    paths: dict[int, str] = {}
    for match in filter(None, map(_NAMED.match, output.split("\n"))):
        paths.setdefault(int(match[1]), match[2])
    return paths
