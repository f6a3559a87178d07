"""Errors of imaging on a machine. Each class owns its code.

TerminalError (agent.errors)
├── ManifestError       RW401  the bytes are no manifest of this format
├── CorruptChunkError   RW402  a frame is not the chunk that it is named after
├── RefusedDiskError    RW410 in use · RW411 read-only · RW412 too small ·
│                       RW413 sector size · RW414 another disk · RW415 no such disk ·
│                       RW416 no room for the moved backup GPT · RW417 cannot be grown ·
│                       RW418 no free space to grow into · RW419 other partitions ·
│                       RW428 no such partitions to back up ·
│                       RW463 LVM on another disk; nothing was written
├── DiskChangedError    RW420  the disk changed while it was read
├── DiskFailureError    RW421  the device failed to read or write
├── ReadBackError       RW422  the disk does not hold what was written to it
├── UnreadableSectorError  RW423  a sector cannot be read
├── TooManyBadSectorsError RW424  too many cannot
├── UnrepairableError   RW425  a file system cannot be repaired here; nothing was written
├── RepairFailedError   RW426  a file system was repaired and is not clean
└── GrowthError         RW429  a file system or LVM volume did not grow
"""

from agent.errors import TerminalError


class ManifestError(TerminalError):
    """The bytes are no manifest of this format; the text names the field."""

    def __init__(self, cause: str) -> None:
        super().__init__("RW401", f"not an image manifest: {cause}", "Take the image again")


class CorruptChunkError(TerminalError):
    """A frame does not hold the chunk that it is named after.

    ``offset`` is the chunk's place on the disk in bytes; None where the chunk is
    not looked at for a disk.
    """

    def __init__(self, digest: str, problem: str, offset: int | None = None) -> None:
        place = "" if offset is None else f" for disk offset {offset:,}"
        super().__init__(
            "RW402",
            f"chunk {digest}{place} is corrupt: {problem}",
            "Verify the image on the server and take it again where it fails",
        )
        self.digest = digest
        self.problem = problem


class RefusedDiskError(TerminalError):
    """The disk must not or cannot be used for this; nothing was written."""


class DiskChangedError(TerminalError):
    """The disk changed while it was read, so the image would hold two states."""

    def __init__(self, node: str, what: str) -> None:
        super().__init__(
            "RW420",
            f"{node} changed while it was read: {what}",
            "Find what writes to the disk, stop it and back up again",
        )


class DiskFailureError(TerminalError):
    """The device failed to read or write."""

    def __init__(self, node: str, action: str, offset: int, error: OSError | str) -> None:
        reason = error if isinstance(error, str) else (error.strerror or str(error))
        super().__init__(
            "RW421",
            f"{node} failed to {action} at offset {offset}: {reason}",
            "Check the disk and its cabling; replace the disk where it fails again",
        )


class ReadBackError(TerminalError):
    """The disk does not hold what was written to it. It was left unbootable."""

    def __init__(self, node: str, digest: str, offset: int) -> None:
        super().__init__(
            "RW422",
            f"{node} does not hold chunk {digest} at offset {offset} after it was written",
            "Replace the disk: it lost data that it had confirmed",
        )


class GrowthError(TerminalError):
    """A file system or an LVM volume did not grow. The disk was left unbootable."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            "RW429",
            f"the {what} did not grow: {reason}",
            "Look at the machine's console; restore without `grow` if it recurs",
        )


class UnreadableSectorError(TerminalError):
    """A sector stays unreadable. ``offset`` is in bytes of the disk, ``place`` in words."""

    def __init__(self, node: str, offset: int, sector: int = 512, place: str = "") -> None:
        super().__init__(
            "RW423",
            f"{node} cannot be read at byte {offset:,} (sector {offset // sector:,})"
            + (f": {place}" if place else ""),
            "Look at the disk's SMART values and replace it. A backup of all that can be read is "
            "made with `onBadSector: skip-and-mark`",
        )
        self.node = node
        self.offset = offset

    def at(self, sector: int, place: str) -> "UnreadableSectorError":
        """Return it with what lies there, on a disk with sectors of so many bytes."""
        return UnreadableSectorError(self.node, self.offset, sector, place)


class TooManyBadSectorsError(TerminalError):
    """More of a disk is unreadable than a backup may lack; ``what`` says how much."""

    def __init__(self, node: str, what: str) -> None:
        super().__init__(
            "RW424",
            f"{node} is too damaged for a backup: {what} cannot be read",
            "Copy the disk to a sound one with a program for rescue, such as ddrescue, and "
            "back that one up",
        )


class UnrepairableError(TerminalError):
    """A file system that was not left clean cannot be repaired here; nothing was written."""

    def __init__(self, place: str, reason: str, action: str) -> None:
        super().__init__("RW425", f"{place} cannot be repaired here: {reason}", action)


class RepairFailedError(TerminalError):
    """A program was to repair a file system, which is not clean after it."""

    def __init__(self, place: str, program: str, words: str, action: str) -> None:
        super().__init__("RW426", f"{place} is not clean after {program}: {words}", action)
