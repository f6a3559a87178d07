"""What a simulated machine does now. Pure."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal[
    "off",
    "firmware",
    "deploy-os",
    "installed",
    "system without agent",
    "nothing to boot",
    "stopped",
]


@dataclass(frozen=True, slots=True)
class MachineState:
    """``boots`` has what each boot came to: ``Deploy-OS`` or ``local disk: why``."""

    name: str
    stage: Stage
    boots: tuple[str, ...]

    @property
    def is_on(self) -> bool:
        """Whether the machine has power."""
        return self.stage != "off"
