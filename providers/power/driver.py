"""What every power driver can be asked, and how it refuses what it cannot do."""

from typing import Literal, Protocol

from agent.errors import TerminalError

PowerState = Literal["on", "off", "unknown"]
"""``unknown``: the driver has no way to see the machine, or it did not answer."""


class PowerRefusedError(TerminalError):
    """The driver has no way to do this; asking it again cannot help (RW602)."""


class PowerDriver(Protocol):
    """Power of one machine.

    A call that returns has handed the request to the machine; whether the machine
    followed is for ``query`` or for the machine's own first report to say. A driver
    that cannot do a thing at all raises PowerRefusedError and has touched nothing.
    """

    def power_on(self) -> None:
        """Start the machine; no effect when it runs."""
        ...

    def power_off(self) -> None:
        """Cut the power, without asking the operating system."""
        ...

    def reset(self) -> None:
        """Press reset: the machine starts from its firmware, without asking anybody."""
        ...

    def query(self) -> PowerState:
        """Return what is known about the machine's power now."""
        ...


def refused(machine: str, driver: str, request: str, action: str) -> PowerRefusedError:
    """Return the error for a request that this kind of driver cannot carry out."""
    return PowerRefusedError(
        "RW602", f"{machine}: the power driver {driver} cannot {request} a machine", action
    )
