"""The installed system on a disk that is captured, as the identity step would find it."""

from attrs import frozen

_NO_SYSTEM = "RW460"


@frozen
class Obstacle:
    """Why a clone of the system on the disk cannot get an identity of its own."""

    code: str
    """Of the error that the identity step would end with, such as ``RW460``."""
    cause: str
    action: str


@frozen
class ImagedSystem:
    """The system that was found on the disk, as the identity step would look at it."""

    name: str
    """``PRETTY_NAME`` of os-release(5), or ``Windows``; empty where no system was found."""
    root: str
    """The partition's number, or the volume's group and name, where its root is."""
    init: str
    """``systemd``, or empty."""
    network: str
    """The network stack that gets the clone's addresses, such as ``ifupdown``."""
    obstacles: tuple[Obstacle, ...]
    """Empty where a clone can get its identity."""
    alone: tuple[Obstacle, ...] = ()
    """What would stand in the way without the other disks that were captured with this one."""

    @property
    def is_absent(self) -> bool:
        """Return whether there is no system on the disk, which is no failure of one."""
        return bool(self.obstacles) and all(each.code == _NO_SYSTEM for each in self.obstacles)
