"""What a simulated machine can be told to do wrong. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """All of them at once; the defaults are a machine in good order.

    Steps are named as in documents: ``restore``, ``backup``, ``applyIdentity``, ``inspectDisks``.
    """

    cut_power_in: str = ""
    """The power fails in the middle of this step, once; the machine is off then."""
    hang_in: str = ""
    """The agent says nothing more once this step has begun, until the power is cut."""
    fail_before: str = ""
    """The disk fails before this step has done anything, every time."""
    fail_in: str = ""
    """The disk fails in the middle of this step, every time."""
    stalls_in: str = ""
    """This step goes on for ever, and says so, until it is stopped."""
    boots_network: bool = True
    """False: the boot order has the disk first."""
    start_seconds: float = 0.0
    """How long the firmware takes before its first DHCP packet."""
