"""Telling cheaply whether anything changed that is known of a machine."""

from collections.abc import Iterable
from hashlib import blake2b

from reconciler.hardware import FleetHardware
from reconciler.store.database import Database
from specs.compiled import CompiledMachine

# One text per row: hashing the columns needs no decoding, and a report's own digest stands
# for its body. A ledger line never changes, so that its number and time stand for it.
_ROWS = """
SELECT identities, 'heard ' || hardware
    || ' ' || ifnull(ram_at, '') || ' ' || ifnull(ram_name, '') || ' ' || ifnull(ram_digest, '')
    || ' ' || ifnull(installed_at, '') || ' ' || ifnull(installed_name, '')
    || ' ' || ifnull(installed_digest, '')
    || ' ' || ifnull(contact_at, '') || ' ' || ifnull(contact_name, '')
    || ' ' || ifnull(contact_environment, '')
FROM machine_observation
UNION ALL
SELECT identities, 'operation ' || sequence || ' ' || op_id || ' ' || state || ' ' || at
FROM current_operation
UNION ALL
SELECT c.identities, 'progress ' || p.op_id || ' ' || p.attempt || ' ' || p.sequence || ' ' || p.at
FROM current_operation c JOIN progress p ON p.op_id = c.op_id AND p.attempt = c.attempt
WHERE c.state NOT IN ('verified', 'failed', 'cancelled')
"""
_BOOTS = "SELECT mac, boot_at FROM boot_client WHERE boot_at IS NOT NULL"
_QUARANTINE = "SELECT identities, 'barred ' || at || ' ' || reason FROM quarantine ORDER BY at"


def observation_fingerprints(
    database: Database,
    machines: Iterable[CompiledMachine],
    hardware: FleetHardware | None = None,
) -> dict[str, str]:
    """Return a short digest per machine, by its ``hardware_identity``, for a cache of plans.

    It changes whenever something changes that the planner reads of this machine: its
    reports, contacts, boots, quarantine and current operations, and who else may own
    them. What is not one machine's own is not in it: images, budgets and captures.
    ``hardware`` is of the same machines, for callers who have it at hand.
    """
    machines = tuple(machines)
    owners_of = (hardware or FleetHardware(machines)).owners_of
    with database.reading() as connection:
        rows = connection.exec_driver_sql(_ROWS).fetchall()
        boots = {row[0]: row[1] for row in connection.exec_driver_sql(_BOOTS)}
        barred = [
            (set(row[0].split(" ")), row[1]) for row in connection.exec_driver_sql(_QUARANTINE)
        ]
    known: dict[str, str] = {}
    for identities, text in rows:
        owners = owners_of(identities)
        said = text if len(owners) == 1 else f"{text} of {owners}"
        for name in owners:
            earlier = known.get(name)
            known[name] = said if earlier is None else f"{earlier}\n{said}"
    found = {}
    for machine in machines:
        text = known.get(machine.name, "")
        for mac in machine.macs:
            if mac in boots:
                text = f"{text}\nboot {mac} {boots[mac]}"
        if barred:
            mine = {*machine.hardware_identities, f"name:{machine.name}"}
            text += "".join(f"\n{reason}" for barring, reason in barred if barring & mine)
        digest = blake2b(text.encode(), digest_size=12)
        found[machine.hardware_identity] = digest.hexdigest()
    return found
