"""losetup: a range of a device as a device of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.commands.runner import run_command


def attach_arguments(
    device: Path, start: int, size: int, sector_size: int, *, write: bool
) -> list[str]:
    """Return the command that shows ``size`` bytes from ``start`` as the next free loop device."""
    place = ["--offset", str(start), "--sizelimit", str(size), "--sector-size", str(sector_size)]
    access = [] if write else ["--read-only"]
    return ["losetup", "--find", "--show", *access, *place, str(device)]


@contextmanager
def attached(
    device: Path, start: int, size: int, sector_size: int, *, write: bool
) -> Iterator[Path]:
    """Provide the range as a loop device for the block; all in bytes.

    CommandError where there are no loop devices or no right to use them.
    """
    done = run_command(attach_arguments(device, start, size, sector_size, write=write))
    loop = Path(done.stdout.decode().strip())
    try:
        yield loop
    finally:
        run_command(["losetup", "--detach", str(loop)])
