"""A stamp per hardware that changes with everything that is written about it."""

from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema


def heard(
    connection: Connection,
    identities: tuple[str, ...],
    values: dict[str, Any],
    *what: object,
    current: bool = True,
) -> None:
    """Write columns of the hardware's ``machine_observation`` and renew its stamp.

    The stamp is a digest over the one before, the columns and ``what`` else happened in
    this transaction, so that it tells two histories apart and not only two times.
    ``current`` says that the identities are all that the hardware has now; otherwise
    those that are known stay.
    """
    table = schema.machine_observation
    hardware = identities[0]
    before = connection.execute(
        select(table.c.stamp).where(table.c.hardware == hardware)
    ).scalar_one_or_none()
    text = f"{before} {identities} {sorted(values.items())} {what}"
    changes = {**values, "stamp": blake2b(text.encode(), digest_size=12).hexdigest()}
    known = {"identities": " ".join(identities)}
    connection.execute(
        upsert(table)
        .values(hardware=hardware, **known, **changes)
        .on_conflict_do_update(
            index_elements=["hardware"], set_={**known, **changes} if current else changes
        )
    )
