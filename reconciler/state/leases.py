"""DHCP leases on the state database: ``providers.netboot.leases.LeaseStore``."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from sqlalchemy import Row, delete, insert, select

from providers.netboot.leases import Lease
from reconciler.state import schema
from reconciler.state.database import Database

_TABLE = schema.lease


class StoredLeases:
    """Leases that outlive the process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_mac(self, network: str, mac: str) -> Lease | None:
        """Return the machine's record in the network that is not ``declined``."""
        query = select(_TABLE).where(
            _TABLE.c.network == network, _TABLE.c.mac == mac, _TABLE.c.state != "declined"
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _lease(row)

    def of_address(self, address: IPv4Address) -> Lease | None:
        """Return the address's record."""
        with self._database.reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.address == str(address))).first()
        return None if row is None else _lease(row)

    def of_network(self, network: str) -> Sequence[Lease]:
        """Return all records of the network."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_TABLE).where(_TABLE.c.network == network)).all()
        return [_lease(row) for row in rows]

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

    def drop(self, address: IPv4Address) -> None:
        """Forget the address's record."""
        with self._database.writing() as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.address == str(address)))


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.network, IPv4Address(row.address), row.mac, row.state, row.expires)
