"""Machines whose power only a person can reach."""

from providers.power.driver import PowerRefusedError, PowerState, refused

_DRIVER = "manual"


class ManualPower:
    """The driver ``manual``: it does nothing and says who has to do what."""

    def __init__(self, machine: str) -> None:
        self._machine = machine

    def power_on(self) -> None:
        """Refuse: somebody has to press the button."""
        raise self._refusal("start", "Start it by its power button")

    def power_off(self) -> None:
        """Refuse: somebody has to switch it off."""
        raise self._refusal("switch off", "Switch it off by hand")

    def reset(self) -> None:
        """Refuse: somebody has to press reset."""
        raise self._refusal("reset", "Restart it by hand")

    def query(self) -> PowerState:
        """Return ``unknown``: nothing here sees the machine."""
        return "unknown"

    def _refusal(self, request: str, by_hand: str) -> PowerRefusedError:
        return refused(
            self._machine, _DRIVER, request, f"{by_hand}; the work goes on when it reports"
        )
