"""The programs that health checks of rollouts may run: those of one folder of the state directory.

Documents name a program, whoever keeps the server puts it there: a commit alone runs nothing new.
"""

import os
from pathlib import Path

FOLDER = "health-checks"


def health_program(state: Path, name: str) -> Path:
    """Return where a program is looked for."""
    return state / FOLDER / name


def missing_program(state: Path, name: str) -> str:
    """Return why a program of a health check cannot be run, as a clause; empty where it can."""
    path = health_program(state, name)
    if not path.is_file():
        return f"there is no program {path}"
    return "" if os.access(path, os.X_OK) else f"{path} is not executable"
