"""Which files of a repository are desired state."""

SUFFIXES = frozenset({".yaml", ".yml", ".csv"})


def is_desired_state(file: str) -> bool:
    """Return whether a file of the repository is read: YAML or CSV, not in a hidden place.

    Whatever begins with a dot (``.github/workflows/ci.yaml``) belongs to other tools.
    """
    return file[file.rfind(".") :] in SUFFIXES and not is_hidden(file)


def is_hidden(file: str) -> bool:
    """Return whether the file or a folder above belongs to a tool: its name begins with a dot."""
    return file.startswith(".") or "/." in file


def is_table(file: str) -> bool:
    """Return whether a file is CSV, which only counts where a MachineTable names it."""
    return file.endswith(".csv")
