"""The error of everything in a system that keeps a clone of it from its own identity."""

from agent.errors import TerminalError

OR_KEEP = "or keep the image's own identity (identity: keep)"


class UnsuitableSystemError(TerminalError):
    """The system on the disk cannot be given an identity.

    RW460 no root file system · RW461 several · RW462 it lacks something · RW464 an odd file in
    it · RW465 a file system cannot be mounted · RW466 Windows · RW468 a part of it is on another
    disk. The texts are the same for every disk with the same content: an image keeps them, and
    its digest depends on them. ``system`` is its name, where that is known.
    """

    def __init__(self, code: str, cause: str, action: str, system: str = "") -> None:
        super().__init__(code, cause, action)
        self.system = system


class NotMountedError(UnsuitableSystemError):
    """The kernel does not mount a file system that may hold the system (RW465)."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "RW465",
            f"{what} cannot be mounted",
            "Check the file system on the golden machine and take the image again; the "
            "agent's log has the message of mount",
        )


class NoRootFileSystemError(UnsuitableSystemError):
    """There is no system that can be opened (RW460).

    ``holds`` is what the disk holds, ``obstacle`` what stands in the way.
    """

    def __init__(self, holds: str, obstacle: str) -> None:
        super().__init__(
            "RW460",
            f"no Linux root file system was found on the disk ({holds}): {obstacle}",
            "Use an image whose root file system (ext4, xfs or btrfs) lies on a partition or on "
            f"a linear volume of LVM, {OR_KEEP}",
        )
