"""losetup: a part of a disk as a read-only device of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent.imaging.errors import ToolError


def attach_arguments(node: str, offset: int, size: int, sector_size: int) -> list[str]:
    """Return the command that prints the device it attaches."""
    return [
        "losetup",
        "--find",
        "--show",
        "--read-only",
        "--offset",
        str(offset),
        "--sizelimit",
        str(size),
        "--sector-size",
        str(sector_size),
        node,
    ]


@contextmanager
def attached(node: str, offset: int, size: int, sector_size: int) -> Iterator[str]:
    """Provide the range as a device for the block.

    Raises ToolError when there are no loop devices or no right to use them.
    """
    device = _run(attach_arguments(node, offset, size, sector_size)).strip()
    try:
        yield device
    finally:
        _run(["losetup", "--detach", device])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except FileNotFoundError as error:
        raise ToolError("losetup", "is not installed") from error
    if done.returncode != 0:
        raise ToolError("losetup", f"failed: {done.stderr.strip()}")
    return done.stdout
