"""mount and umount: a file system at a place in the tree."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.commands.runner import run_command

# Nothing of the image may act on the RAM system while it is mounted.
_HARMLESS = ("nosuid", "nodev", "noexec")

# Looking must not write, and replaying a journal does. XFS refuses a second file system of the
# same UUID, which a clone of what is mounted has.
_NO_REPLAY = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery,nouuid",
    "btrfs": "rescue=nologreplay",
    "f2fs": "norecovery",
}
REFUSED = 32
"""The status of mount(8) where the kernel did not mount."""


def mount_arguments(
    device: Path, place: Path, filesystem: str, *, write: bool, options: Sequence[str] = ()
) -> list[str]:
    """Return the mount command; ``filesystem`` is always named, so that nothing is guessed."""
    replay = _NO_REPLAY.get(filesystem)
    access = ["rw"] if write else ["ro", *([replay] if replay else [])]
    settings = ",".join([*access, *_HARMLESS, *options])
    return ["mount", "-t", filesystem, "-o", settings, str(device), str(place)]


@contextmanager
def mounted(
    device: Path, place: Path, filesystem: str, *, write: bool, options: Sequence[str] = ()
) -> Iterator[None]:
    """Keep a file system mounted; unmounting writes everything out.

    CommandError where mounting or unmounting fails.
    """
    run_command(mount_arguments(device, place, filesystem, write=write, options=options))
    try:
        yield
    finally:
        run_command(["umount", str(place)])
