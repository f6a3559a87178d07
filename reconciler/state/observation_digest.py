"""Whether anything was observed since: a digest over all that the planner reads.

Asked before everything else of a plan, and often the last thing that has to be: hence by
SQLite itself, without the mapping of tables, which takes a third of a second to load.
"""

import sqlite3
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

from reconciler.state.current_revision import CURRENT_REVISION

READ_BY_PLANS = (
    "machine_observation",
    "boot_client",
    "quarantine",
    "protection",
    "current_operation",
    "progress",
    "capture",
)
"""The tables that ``observe`` reads. What a report says changes with its time, which is here."""


def observation_digest(path: Path) -> str | None:
    """Return a digest over what was observed; empty where nothing was.

    None where it cannot be told: there is no such database yet, or it is of another
    version, or damaged. Whoever opens it in the ordinary way learns why.
    """
    if not path.exists():
        return "" if _could_be_made(path) else None
    digest = blake2b(digest_size=16)
    seen = False
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if revision != CURRENT_REVISION:
                return None
            for table in READ_BY_PLANS:
                for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - constants
                    digest.update(repr((table, row)).encode())
                    seen = True
    except (sqlite3.Error, TypeError):  # TypeError: nothing says which version wrote it
        return None
    return digest.hexdigest() if seen else ""


def _could_be_made(path: Path) -> bool:
    """Return whether nothing but its absence keeps a file from being read."""
    return next(each for each in path.absolute().parents if each.exists()).is_dir()
