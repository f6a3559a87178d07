"""DHCP leases on the state database: ``providers.netboot.leases.LeaseStore``."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from sqlalchemy import Row, delete, insert, select

from providers.netboot.leases import Lease
from reconciler.state import schema
from reconciler.state.database import Database

_TABLE = schema.lease


class StoredLeases:
    """Leases that outlive the process; a lease is on the disk before its ACK goes out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Iterable[Lease]:
        """Return all records."""
        with self._database.reading() as connection:
            return [_lease(row) for row in connection.execute(select(_TABLE))]

    def put(self, lease: Lease) -> None:
        """Record the lease in place of the address's and the machine's former records."""
        with self._database.writing() as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.address == str(lease.address)))
            if lease.state != "declined":
                connection.execute(
                    delete(_TABLE).where(
                        _TABLE.c.network == lease.network,
                        _TABLE.c.mac == lease.mac,
                        _TABLE.c.state != "declined",
                    )
                )
            connection.execute(
                insert(_TABLE).values(
                    network=lease.network,
                    address=str(lease.address),
                    mac=lease.mac,
                    state=lease.state,
                    expires=lease.expires,
                )
            )


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.network, IPv4Address(row.address), row.mac, row.state, row.expires)
