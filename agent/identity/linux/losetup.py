"""The ``losetup`` command: a range of a device as a device of its own."""

from pathlib import Path

from agent.command import run_command


def attach_arguments(device: Path, start: int, size: int, sector_size: int) -> list[str]:
    """Return the command that shows ``size`` bytes from ``start`` as the next free loop device."""
    place = ["--offset", str(start), "--sizelimit", str(size), "--sector-size", str(sector_size)]
    return ["losetup", "--find", "--show", *place, str(device)]


def attach(device: Path, start: int, size: int, sector_size: int) -> Path:
    """Return the loop device that was attached; CommandError where that fails."""
    done = run_command(attach_arguments(device, start, size, sector_size))
    return Path(done.stdout.decode().strip())


def detach(loop: Path) -> None:
    """Release a loop device; CommandError where that fails."""
    run_command(["losetup", "--detach", str(loop)])
