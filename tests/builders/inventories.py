"""Inventories for tests, and the server's side of them without a network."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from random import Random

from agent.wire.inventory import (
    DiskHealth,
    Inventory,
    Package,
    RebootReason,
    ServiceUnit,
    System,
    Update,
    ordered,
    pack,
)
from agent.wire.inventory_changes import changes_since
from reconciler.server.inventory import InventoryKeeper
from reconciler.state.database import Database
from reconciler.state.inventories import Inventories
from specs.fleet import CompiledMachine


def a_system(os_version: str = "12") -> System:
    return System(
        os_id="debian",
        os_version=os_version,
        os_name="Debian GNU/Linux 12 (bookworm)",
        service_pack="",
        kernel="6.1.0-28-amd64",
        architecture="x86_64",
        firmware_vendor="SeaBIOS",
        firmware_version="1.16",
        firmware_date="04/01/2014",
        booted="2026-11-29T07:00:00+00:00",
        updates_checked="2026-11-29T06:00:00+00:00",
    )


def a_package(name: str, version: str = "1.0-1", kind: str = "deb", source: str = "") -> Package:
    return Package(name, "amd64", version, source or name, version, "", kind)


def an_inventory(
    *packages: Package, updates: Iterable[Update] = (), restart: Iterable[str] = ()
) -> Inventory:
    return {
        "system": (a_system(),),
        "packages": ordered("packages", packages),
        "updates": ordered("updates", updates),
        "services": (ServiceUnit("ssh.service", "active", "enabled"),),
        "disks": (DiskHealth("/dev/sda", "Disk 3000", "S1", 10**12, "passed", 100, 0, -1),),
        "reboot": ordered("reboot", [RebootReason(each) for each in restart]),
        "problems": (),
    }


def a_large_inventory(count: int, seed: int = 0) -> Inventory:
    """Return one whose packages have names and versions about as long as Debian's."""
    chance = Random(seed)  # noqa: S311 - nothing secret
    return an_inventory(
        *(
            a_package(
                f"lib{''.join(chance.choices('abcdefghijklmnopqrstuvwxyz', k=9))}{number}",
                f"{chance.randrange(9)}.{chance.randrange(30)}.{chance.randrange(99)}"
                f"+dfsg-{chance.randrange(9)}+deb12u{chance.randrange(9)}",
                source=f"{''.join(chance.choices('abcdefghijklmnopqrstuvwxyz', k=9))}",
            )
            for number in range(count)
        )
    )


class InventoryServer:
    """What keeps inventories, asked directly."""

    def __init__(self, database: Database) -> None:
        self.inventories = Inventories(database)
        self.now = datetime.fromisoformat("2026-11-29T08:00:00+00:00")
        self.keeper = InventoryKeeper(self.inventories, lambda: self.now)

    def take(self, machine: CompiledMachine, body: bytes) -> str:
        return asyncio.run(self.keeper.take(machine, body))

    def says(
        self, machine: CompiledMachine, inventory: Inventory, before: Inventory | None = None
    ) -> str:
        """Take what changed, from nothing where nothing is said of before."""
        return self.take(machine, pack(changes_since(before or {}, inventory)))
