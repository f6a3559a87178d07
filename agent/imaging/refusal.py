"""When a disk must not be imaged or written, and in which words. Pure."""

from attrs import frozen

from agent.imaging.errors import RefusedDiskError
from agent.wire.disk import Disk


@frozen
class Seen:
    """What the kernel says of the disk now, against what was once inspected."""

    size: int
    sector_size: int
    read_only: bool
    serial: str = ""
    wwn: str = ""


def in_use(node: str, users: tuple[str, ...]) -> RefusedDiskError:
    """Return the refusal of a disk that something uses; ``users`` says what."""
    what = ", ".join(users) or "another program holds it"
    return RefusedDiskError(
        "RW410", f"{node} is in use: {what}", "Unmount it or stop what uses it, then try again"
    )


def read_only(node: str) -> RefusedDiskError:
    """Return the refusal of a disk that cannot be written."""
    return RefusedDiskError(
        "RW411",
        f"{node} is read-only, a restore must write to it",
        "Take the write protection off or choose another disk",
    )


def refuse_other_disk(disk: Disk, seen: Seen) -> None:
    """Raise RefusedDiskError (RW414) unless the open disk is the one that ``disk`` names."""
    for what, wanted, found in (
        ("a size in bytes of", str(disk.identity.size), str(seen.size)),
        ("the serial", disk.identity.serial, seen.serial),
        ("the WWN", disk.identity.wwn, seen.wwn),
    ):
        if wanted and found and plain_id(wanted) != plain_id(found):
            raise RefusedDiskError(
                "RW414",
                f"{disk.node} is another disk: {what} {wanted} was inspected, it now has {found}",
                "Inspect the machine's disks again and plan anew",
            )


def refuse_target(node: str, seen: Seen, *, size: int, sector_size: int) -> None:
    """Raise RefusedDiskError where the disk cannot hold an image of these sizes, in bytes."""
    if seen.read_only:
        raise read_only(node)
    if seen.sector_size != sector_size:
        raise RefusedDiskError(
            "RW413",
            f"the image has {sector_size}-byte sectors, {node} has {seen.sector_size}-byte sectors",
            "Restore to a disk with the image's sector size; "
            "partition tables and file systems depend on it",
        )
    if seen.size < size:
        raise RefusedDiskError(
            "RW412",
            f"the image needs {size} bytes, {node} has {seen.size} bytes",
            "Choose a disk that is at least as large as the captured one, or restore a smaller "
            "image (`rackwright image shrink`)",
        )


def plain_id(text: str) -> str:
    """Return a serial or WWN without the decoration that differs between sources.

    sysfs writes ``naa.5000c500a1b2c3d4`` and ``eui.0025…``, udev
    ``0x5000c500a1b2c3d4``; some drives pad their serial with spaces.
    """
    plain = text.strip().lower()
    for prefix in ("naa.", "eui.", "0x"):
        plain = plain.removeprefix(prefix)
    return plain
