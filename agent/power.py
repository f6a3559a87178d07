"""Restarting and switching off the machine that the agent runs on."""

import ctypes
import logging
import os
from typing import Protocol

from agent.commands import systemctl
from agent.errors import TerminalError

# reboot(2), the values of <linux/reboot.h> as the C library's reboot() takes them.
_RESTART = 0x01234567
_POWER_OFF = 0x4321FEDC


_log = logging.getLogger(__name__)


class Power(Protocol):
    """The two ways to end a session."""

    def reboot(self) -> None:
        """Restart the machine. May return before it happens."""

    def poweroff(self) -> None:
        """Switch the machine off. May return before it happens."""


def leave(power: Power, action: str) -> bool:
    """Do what ``reboot`` or ``poweroff`` asks for; return whether ``action`` is one of them."""
    if action == "reboot":
        _log.info("restarting")
        power.reboot()
    elif action == "poweroff":
        _log.info("switching off")
        power.poweroff()
    return action in ("reboot", "poweroff")


class KernelPower:
    """In the RAM system: asks the kernel directly.

    Nothing there needs an orderly shutdown and no init system answers. The system
    call, unlike SysRq ``b``, shuts the devices down first, so disks flush their
    caches. Raises TerminalError RW567 where the kernel refuses.
    """

    def reboot(self) -> None:
        """Write everything out and restart; does not return."""
        _call_kernel(_RESTART)

    def poweroff(self) -> None:
        """Write everything out and switch off; does not return."""
        _call_kernel(_POWER_OFF)


class SystemPower:
    """In an installed system: asks systemd, which stops the services first."""

    def reboot(self) -> None:
        """Begin an orderly restart."""
        os.sync()
        systemctl.run_verb("reboot")

    def poweroff(self) -> None:
        """Begin an orderly shutdown."""
        os.sync()
        systemctl.run_verb("poweroff")


def _call_kernel(command: int) -> None:
    os.sync()
    library = ctypes.CDLL(None, use_errno=True)
    if library.reboot(ctypes.c_int(command)) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise TerminalError(
            "RW567", f"the kernel refused reboot(2): {reason}", "Switch the machine by hand"
        )
