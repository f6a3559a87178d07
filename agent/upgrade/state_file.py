"""The file ``launch.json``. The standard library alone."""

from pathlib import Path

from agent.upgrade.launch_state import LaunchState, decoded, encoded
from agent.whole_file import write_atomically

_MODE = 0o600


def read_state(path: Path) -> LaunchState:
    """Return what is written down; no state where nothing can be read."""
    try:
        return decoded(path.read_bytes())
    except OSError:
        return LaunchState()


def write_state(path: Path, state: LaunchState) -> None:
    """Write it down; UnwritableFileError RW572."""
    write_atomically(path, encoded(state), _MODE)
