"""Opening the state database to read it, without what writing it needs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from reconciler.state.current_revision import CURRENT_REVISION
from reconciler.state.rows import StateFile


def open_state_file(path: Path) -> StateFile | None:
    """Return the database as a file of the present version; None where it is none.

    There may be no such file yet, or one of another version, or a damaged one: whoever
    opens it in the ordinary way learns which.
    """
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return StateFile(path) if row == (CURRENT_REVISION,) else None
