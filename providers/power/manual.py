"""Machines whose power only a person can reach: the driver ``manual``."""

from typing import NoReturn

from agent.errors import TerminalError


def power_on(machine: str) -> NoReturn:
    """Say who has to start the machine: RW602."""
    raise TerminalError(
        "RW602",
        f"{machine}: the power driver manual cannot start a machine",
        "Start it by its power button; the work goes on when it reports",
    )
