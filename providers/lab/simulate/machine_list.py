"""Which machines a simulated rack has. Pure: the same count gives the same machines."""

import uuid
from dataclasses import dataclass
from ipaddress import IPv4Interface

SERVER = IPv4Interface("10.77.0.1/16")
"""The server's address on the bridge."""
MOST_MACHINES = 1000
"""A Linux bridge has 1,023 ports."""
GOLDEN = "golden"
_PREFIX = SERVER.network.prefixlen
_PER_BLOCK = 200
_FIRST_HOST = 10
_UUID_SPACE = uuid.UUID("77000000-0000-4000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """One machine as it is built. ``disk_size`` is in bytes."""

    index: int
    """From 0, the golden machine; names its port."""
    name: str
    mac: str
    uuid: str
    serial: str
    """Of its disk."""
    address: str
    """In CIDR form, for its document; empty for the golden machine, which has a lease."""
    disk_size: int

    @property
    def is_golden(self) -> bool:
        """Whether its disk has a system on it when it is new."""
        return self.name == GOLDEN


def machines_of(count: int, disk_size: int) -> tuple[MachineSettings, ...]:
    """Return the golden machine and ``count`` others with blank disks of ``disk_size`` bytes."""
    return tuple(_machine(index, disk_size) for index in range(count + 1))


def _machine(index: int, disk_size: int) -> MachineSettings:
    block, host = divmod(index - 1, _PER_BLOCK)
    base = int(SERVER.network.network_address)
    address = IPv4Interface((base + (block + 1) * 256 + host + _FIRST_HOST, _PREFIX))
    return MachineSettings(
        index=index,
        name=GOLDEN if index == 0 else f"sim-{index:04d}",
        mac=f"52:54:00:77:{index // 256:02x}:{index % 256:02x}",
        uuid=str(uuid.UUID(int=_UUID_SPACE.int + index)),
        serial=f"SIM-{index:04d}",
        address="" if index == 0 else str(address),
        disk_size=disk_size,
    )
