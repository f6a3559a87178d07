"""dmsetup: pieces of a device as a device of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.commands.runner import run_command

_SECTOR = 512  # device-mapper counts in these, whatever the disk's sector size
_CONTROL = Path("/dev/mapper/control")


def is_there() -> bool:
    """Return whether this kernel has device-mapper.

    The node alone says nothing, as LVM's tools make it wherever they run. Opening it
    loads the kernel's module where there is one.
    """
    try:
        with _CONTROL.open("rb"):
            return True
    except OSError:
        return False


def linear_table(device: Path, pieces: Sequence[tuple[int, int]]) -> str:
    """Return the table of a device that consists of pieces (offset, length) of another one.

    Bytes, whole multiples of 512. For the format see the kernel's
    Documentation/admin-guide/device-mapper/linear.rst.
    """
    lines, start = [], 0
    for offset, length in pieces:
        sectors = length // _SECTOR
        lines.append(f"{start} {sectors} linear {device} {offset // _SECTOR}\n")
        start += sectors
    return "".join(lines)


@contextmanager
def composed(
    name: str, device: Path, pieces: Sequence[tuple[int, int]], *, write: bool
) -> Iterator[Path]:
    """Provide pieces of a device as a device of its own, under a name that nobody else uses.

    ``device`` must not be open exclusively, as device-mapper opens it so itself.
    CommandError where dmsetup or the kernel refuses.
    """
    table = linear_table(device, pieces).encode()
    access = [] if write else ["--readonly"]
    run_command(["dmsetup", "create", name, *access], standard_input=table)
    try:
        yield _node(name)
    finally:
        run_command(["dmsetup", "remove", "--retry", name])


def _node(name: str) -> Path:
    """Return the kernel's own node: without udev nobody makes the one in ``/dev/mapper``."""
    fields = ["--columns", "--noheadings", "--options", "blkdevname"]
    done = run_command(["dmsetup", "info", *fields, name])
    return Path("/dev") / done.stdout.decode().strip()
