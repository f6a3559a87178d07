"""What lists show of a machine's inventory."""

from datetime import datetime
from typing import NamedTuple


class InventoryHead(NamedTuple):
    """What lists show of an inventory. None is not known."""

    hardware: str
    identities: tuple[str, ...]
    machine: str
    at: datetime
    os_id: str
    os_version: str
    os_name: str
    packages: int | None
    updates: int | None
    restart: bool | None
