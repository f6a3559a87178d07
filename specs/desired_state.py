"""Which files of a repository are desired state."""

from pathlib import PurePosixPath

SUFFIXES = frozenset({".yaml", ".yml", ".csv"})


def is_desired_state(file: str) -> bool:
    """Return whether a file of the repository is read: YAML or CSV, not in a hidden place.

    Whatever begins with a dot (``.github/workflows/ci.yaml``) belongs to other tools.
    """
    path = PurePosixPath(file)
    if any(part.startswith(".") for part in path.parts):
        return False
    return path.suffix in SUFFIXES


def is_table(file: str) -> bool:
    """Return whether a file is CSV, which only counts where a MachineTable names it."""
    return file.endswith(".csv")
