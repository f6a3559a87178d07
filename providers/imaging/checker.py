"""Programs that look at a file system without changing it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from agent.commands.runner import follow_command
from agent.errors import CommandError, MissingCommandError

_TIMEOUT = 6 * 3600  # seconds; a check of tens of terabytes takes hours
_MOST_OUTPUT = 2000

_VOLUME_CHECKS: Mapping[str, tuple[str, ...]] = {
    "exfat": ("fsck.exfat", "-n"),
    "vfat": ("fsck.fat", "-n"),
    "xfs": ("xfs_repair", "-n", "-f"),
    "btrfs": ("btrfs", "check", "--readonly", "--check-data-csum"),
    # 0 means that the volume mounts and its mirrors agree (ntfsfix(8)).
    "ntfs": ("ntfsfix", "--no-action"),
}
"""File system -> the command that checks it; the file that holds it follows.

Each ends with 0 where it found nothing wrong (see their manual pages).
"""


def check_volume(filesystem: str, volume: Path) -> str:
    """Return what is wrong with the file system in a file of its own, empty if nothing."""
    command = _VOLUME_CHECKS.get(filesystem)
    if command is None:
        return f"there is no checker for {filesystem}"
    return run([*command, str(volume)])


def check_ext(disk: Path, offset: int) -> str:
    """Return what is wrong with the ext2/3/4 at ``offset`` of ``disk``, empty if nothing.

    ``?offset=`` is libext2fs' syntax for a part of a file.
    """
    return run(["e2fsck", "-f", "-n", f"{disk}?offset={offset}"])


def ended_well(status: int, words: str) -> bool:  # noqa: ARG001 - others read the words
    """Return whether a program found nothing wrong, by its exit status."""
    return status == 0


def run(argv: list[str], is_good: Callable[[int, str], bool] = ended_well) -> str:
    """Run a checker and return what is wrong, empty where nothing is.

    ``is_good`` is given exit status and output. A checker that cannot run has found
    something wrong: nothing is verified then.
    """
    try:
        done = follow_command(argv, timeout=_TIMEOUT)
    except MissingCommandError:
        return f"{argv[0]} is not installed on the server"
    except CommandError as error:
        return f"{argv[0]} {error.words}"
    return "" if is_good(done.status, done.words) else summary(argv[0], done.status, done.words)


def summary(program: str, status: int, words: str) -> str:
    """Return the exit status and the end of the output on one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return f"{program} ended with {status}: {' / '.join(lines)[-_MOST_OUTPUT:]}"
