"""Agents of machines that no document has, on the state database."""

from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.discovered import DiscoveredAgent

MOST = 10_000
"""Machines kept; of more, those go that were heard longest ago."""
_TABLE, _TOKEN = schema.discovered_machine, schema.join_token
_KNOWN = select(_TABLE, _TOKEN.c.group).outerjoin(_TOKEN, _TOKEN.c.token_id == _TABLE.c.token_id)


class DiscoveredAgents:
    """What was last heard of each such machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, agent: DiscoveredAgent) -> None:
        """Keep what an agent said; when it was seen first stays."""
        values = {name: getattr(agent, name) for name in _TABLE.columns.keys()}  # noqa: SIM118
        values |= {
            "identities": " ".join(agent.identities),
            "addresses": " ".join(agent.addresses),
        }
        kept = {"name", "first_at"}
        changes = {name: value for name, value in values.items() if name not in kept}
        oldest = select(_TABLE.c.name).order_by(_TABLE.c.last_at.desc(), _TABLE.c.name)
        with self._database.writing() as connection:
            connection.execute(
                upsert(_TABLE)
                .values(**values)
                .on_conflict_do_update(index_elements=["name"], set_=changes)
            )
            connection.execute(delete(_TABLE).where(_TABLE.c.name.in_(oldest.offset(MOST))))

    def all(self) -> tuple[DiscoveredAgent, ...]:
        """Return all, the one that was heard last first."""
        query = _KNOWN.order_by(_TABLE.c.last_at.desc(), _TABLE.c.name)
        with self._database.reading() as connection:
            return tuple(map(_agent, connection.execute(query)))

    def of_name(self, name: str) -> DiscoveredAgent | None:
        """Return the machine whose certificate has this name."""
        with self._database.reading() as connection:
            row = connection.execute(_KNOWN.where(_TABLE.c.name == name)).first()
        return None if row is None else _agent(row)


def _agent(row: Row[Any]) -> DiscoveredAgent:
    known = row._asdict()
    known["identities"] = tuple(row.identities.split(" "))
    known["addresses"] = tuple(row.addresses.split(" ")) if row.addresses else ()
    return DiscoveredAgent(**{**known, "group": row.group or ""})
