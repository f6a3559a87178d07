"""What a rack says of itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Power = Literal["on", "off"]


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """One machine now."""

    name: str
    firmware: str
    power: Power
    mac: str
    disk: str
    """Path of the image of the disk that it boots from."""
    disk_serial: str
    uptime_seconds: float | None
    """Since it was powered on; None when it is off."""
    note: str
    """Why it went off when nobody asked for it; else empty."""


@dataclass(frozen=True, slots=True)
class RackStatus:
    """The rack now."""

    directory: str
    address: str
    """The host's address on the bridge, with its prefix length."""
    accelerator: str
    """``kvm``, ``tcg``, or ``probing`` in the first seconds."""
    machines: tuple[MachineStatus, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RackStatus":
        """Return the status that ``as_json`` made."""
        machines = tuple(MachineStatus(**machine) for machine in data["machines"])
        return cls(**{**data, "machines": machines})
